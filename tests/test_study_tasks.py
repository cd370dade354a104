"""The data of the studies' tasks: every target can be worked out from its input."""

from __future__ import annotations

import math
from itertools import islice
from typing import Any

import pytest
import torch
from torch import Tensor

from torchrecurrent.studies.running.study import PRESETS, SEEDS, Study
from torchrecurrent.studies.tasks.adding import Adding
from torchrecurrent.studies.tasks.binary_addition import BinaryAddition, pairs
from torchrecurrent.studies.tasks.copy_first import CopyFirst
from torchrecurrent.studies.tasks.copy_memory import CopyMemory
from torchrecurrent.studies.tasks.denoising import Denoising
from torchrecurrent.studies.tasks.images import SequentialImages
from torchrecurrent.studies.tasks.language import CharacterModel
from torchrecurrent.studies.tasks.registry import STUDIES
from torchrecurrent.studies.tasks.task import Batch, Task

from .running import inputs_of

DRAWN: list[Task] = [
    CopyFirst(4, validation_size=8, test_size=8),
    CopyFirst(4, validation_size=8, test_size=8, train_size=20),
    Adding(6, validation_size=8, test_size=8),
    CopyMemory(3, validation_size=8, test_size=8),
    CopyMemory(3, "every", validation_size=8, test_size=8),
    Denoising(6, 2, 2, validation_size=8, test_size=8),
    Denoising(6, 2, 2, "last", validation_size=8, test_size=8),
    BinaryAddition(12, 14, validation_size=8, test_size=8),
    BinaryAddition(12, 14, curriculum=True, train_size=20, epochs=2, validation_size=8),
]
#: With the tasks whose test set is the same for every seed.
ALL: list[Task] = [
    *DRAWN,
    SequentialImages("digits", permutation=1, blanks=3),
    CharacterModel("python", validation_size=64, test_size=64),
]
IDS = [each.name for each in ALL]


# All tasks


@pytest.mark.parametrize("task", DRAWN, ids=IDS[: len(DRAWN)])
def test_the_seed_alone_decides_the_data(task: Task) -> None:
    def drawn(seed: int) -> list[Tensor]:
        batches = islice(task.training(seed, 5), 3)
        sets = [*batches, task.validation(seed), task.test(seed)]
        return [inputs_of(each) for each in sets]

    first = drawn(0)
    torch.rand(3)  # the global generator has no part in it
    assert all(torch.equal(a, b) for a, b in zip(first, drawn(0), strict=True))
    assert not any(
        a.shape == b.shape and torch.equal(a, b) for a, b in zip(first, drawn(1), strict=True)
    )


@pytest.mark.parametrize("task", ALL, ids=IDS)
@pytest.mark.parametrize("taken", [0, 1, 7, 11])
def test_batches_go_on_where_they_were_left(task: Task, taken: int) -> None:
    whole = task.training(0, 5)
    for _ in range(taken):
        next(whole)
    state: Any = whole.state()
    resumed = task.training(0, 5)
    resumed.resume(**state)
    for ours, theirs in zip(islice(whole, 9), islice(resumed, 9), strict=True):
        assert torch.equal(inputs_of(ours), inputs_of(theirs))
        assert torch.equal(ours.target, theirs.target)


@pytest.mark.parametrize("task", ALL, ids=IDS)
def test_a_prediction_that_would_broadcast_is_refused(task: Task) -> None:
    target = task.validation(0).target
    with pytest.raises(ValueError, match="prediction: expected shape"):
        task.loss(torch.zeros(1, 1, 1), target)
    with pytest.raises(ValueError, match="prediction: expected shape"):
        task.score(torch.zeros(1, 1, 1), target)


def test_a_fixed_set_is_passed_over_in_new_orders() -> None:
    batches = CopyFirst(4, train_size=20).training(0, 5)
    passes = [[next(batches).target for _ in range(4)] for _ in range(2)]
    first, second = (torch.cat(each).flatten() for each in passes)
    assert not torch.equal(first, second)
    assert torch.equal(first.sort().values, second.sort().values)
    assert len(first.unique()) == 20
    with pytest.raises(ValueError, match="batch_size: expected 1 to 20"):
        CopyFirst(4, train_size=20).training(0, 21)


@pytest.mark.parametrize(
    ("study", "preset"), [(each, preset) for each in STUDIES.values() for preset in each.presets]
)
def test_every_preset_can_be_planned(study: Study, preset: str) -> None:
    assert preset in PRESETS
    planned = study.plan(preset)
    assert {each.cell for each in planned} == set(study.cells)
    assert {each.seed for each in planned} == set(range(SEEDS[preset]))
    assert all(isinstance(each.task, study.task) for each in planned)


# Adding


@pytest.mark.parametrize("markers", ["halves", "anywhere"])
def test_the_sum_of_the_two_marked_values(markers: Any) -> None:
    batch = Adding(7, markers, test_size=5000).test(0)
    values, marks = inputs_of(batch).unbind(2)
    assert torch.equal(marks.sum(0), torch.full((5000,), 2.0))
    assert set(marks.unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close((values * marks).sum(0)[:, None], batch.target)
    assert values.min() >= 0
    assert values.max() < 1
    in_first_half = marks[:3].sum(0)
    assert set(in_first_half.tolist()) == ({1.0} if markers == "halves" else {0.0, 1.0, 2.0})
    assert (marks.sum(1) > 0).all()  # every step is marked in some sequence


def test_always_answering_1_scores_the_baseline() -> None:
    task = Adding(10, test_size=20_000)
    target = task.test(0).target
    score = task.score(torch.ones_like(target), target)
    # The square of the centred sum has the variance 7/180 of a triangular distribution's.
    assert abs(score - task.baseline) < 3 * math.sqrt(7 / 180 / len(target))


# Copy memory


def test_the_ten_symbols_are_the_target() -> None:
    task = CopyMemory(7)
    batch = task.test(0)
    classes = inputs_of(batch).argmax(2)
    assert torch.equal(inputs_of(batch).sum(2), torch.ones_like(classes).float())
    assert classes.shape == (27, task.test_size)
    assert torch.equal(classes[:10].T, batch.target)
    assert set(batch.target.unique().tolist()) == set(range(1, 9))
    assert (classes[10:17] == 0).all()
    assert (classes[17:] == 9).all()


def test_every_step_is_answered_in_the_other_form() -> None:
    batch = CopyMemory(7, "every").test(0)
    classes = inputs_of(batch).argmax(2)
    assert torch.equal(classes[:10].T, batch.target[:, -10:])
    assert (batch.target[:, :-10] == 0).all()
    assert (classes[10:16] == 0).all()
    assert (classes[16] == 9).all()
    assert (classes[17:] == 0).all()


@pytest.mark.parametrize("form", ["last", "every"])
def test_memoryless_answers_score_the_baseline(form: Any) -> None:
    task = CopyMemory(7, form)
    target = task.test(0).target
    known = torch.full((*target.shape, 9), -math.inf)
    known[..., 1:] = 0  # equal odds for the symbols
    known[target == 0] = torch.tensor([0.0, *[-math.inf] * 8])
    assert task.score(known, target) == pytest.approx(task.baseline)


# Binary addition


def number(bits: Tensor) -> list[int]:
    """The numbers with the given bits from the lowest, ``(L + 1, N)``."""
    return [sum(int(bit) << place for place, bit in enumerate(row)) for row in bits.T.tolist()]


@pytest.mark.parametrize("length", [3, 4, 11, 20, 60, 200])
def test_the_sum_in_python_integers(length: int) -> None:
    generator = torch.Generator().manual_seed(0)
    batch = pairs(generator, length, 300, held_out=False)
    inputs = inputs_of(batch)
    assert inputs.shape == (length + 1, 300, 2)
    assert batch.target.shape == (300, length + 1, 1)
    first, second = (number(each) for each in inputs.unbind(2))
    assert [a + b for a, b in zip(first, second, strict=True)] == number(batch.target[:, :, 0].T)
    widths = [(a.bit_length(), b.bit_length()) for a, b in zip(first, second, strict=True)]
    assert all(a + b == length and a >= 1 and b >= 1 for a, b in widths)
    assert len({a for a, _ in widths}) > min(length - 2, 15)


def test_short_pairs_are_all_there() -> None:
    """There are (L - 1) 2 ** (L - 2) pairs with L bits."""
    batch = pairs(torch.Generator().manual_seed(0), 5, 2000, held_out=False)
    assert len(rows(batch)) == 4 * 2**3


def rows(batch: Batch) -> set[bytes]:
    return {row.numpy().tobytes() for row in inputs_of(batch).transpose(0, 1).contiguous()}


def test_what_is_tested_is_never_trained_on() -> None:
    trained = rows(pairs(torch.Generator().manual_seed(0), 11, 20_000, held_out=False))
    tested = rows(pairs(torch.Generator().manual_seed(1), 11, 20_000, held_out=True))
    assert not trained & tested
    everything = 10 * 2**9
    assert len(trained | tested) > 0.95 * everything  # 20,000 draws leave out exp(-4) = 0.02
    # A sixteenth, within 3 standard deviations of a binomial.
    assert abs(len(tested) - everything / 16) < 3 * math.sqrt(everything * 15) / 16 + 1


def test_the_curriculum_goes_from_3_up() -> None:
    task = BinaryAddition(5, 9, curriculum=True, train_size=20, epochs=2)
    batches = list(islice(task.training(0, 5), 3 * 8 + 1))
    assert [len(inputs_of(each)) - 1 for each in batches] == [3] * 8 + [4] * 8 + [5] * 8 + [3]
    first, second = (
        torch.cat([inputs_of(each) for each in half], 1).transpose(0, 1).flatten(1).tolist()
        for half in (batches[8:12], batches[12:16])
    )
    assert first != second
    assert sorted(first) == sorted(second)


def test_random_lengths_are_all_drawn() -> None:
    batches = islice(BinaryAddition(6, 9).training(0, 5), 60)
    assert {len(inputs_of(each)) - 1 for each in batches} == {3, 4, 5, 6}


def test_the_tests_by_length() -> None:
    task = BinaryAddition(5, 9, test_size=6)
    series = task.series(0)
    assert list(series) == [3, 4, 5, 6, 7, 8, 9]
    assert all(inputs_of(each).shape == (n + 1, 6, 2) for n, each in series.items())
    assert torch.equal(inputs_of(series[9]), inputs_of(task.test(0)))


def test_one_wrong_bit_makes_a_wrong_sum() -> None:
    task = BinaryAddition(test_size=4)
    target = task.test(0).target
    prediction = 2 * target - 1
    assert task.score(prediction, target) == 1
    prediction[1, 30] *= -1
    assert task.score(prediction, target) == 0.75
    prediction[2, 3] = math.nan
    assert math.isnan(task.score(prediction, target))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Adding(1), "length: expected at least 2, got 1"),
        (lambda: CopyMemory(0), "lag: expected at least 1, got 0"),
        (lambda: BinaryAddition(2), "train_to: expected at least 3, got 2"),
        (lambda: BinaryAddition(epochs=0), "epochs: expected at least 1, got 0"),
        (lambda: CopyFirst(3, train_size=0), "train_size: expected at least 1, got 0"),
    ],
)
def test_a_setting_out_of_range(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
