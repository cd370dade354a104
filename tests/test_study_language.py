"""The language model: its batches, how the state is carried along a text, and its scores."""

from __future__ import annotations

import math
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from torchrecurrent.studies.running.training import Training, run
from torchrecurrent.studies.tasks.datasets import VARIABLE
from torchrecurrent.studies.tasks.language import CharacterModel
from torchrecurrent.studies.tasks.task import Batch
from torchrecurrent.studies.tasks.text import corpus

from .data_files import write_text
from .running import config

SIZE = 4000
BATCH = 5
#: The training part has 3,600 characters, a stream 720, so an epoch of T = 100 seven batches.
SMALL = CharacterModel("small", unroll=100, validation_size=100, test_size=100)
EPOCH = 7


@pytest.fixture(autouse=True)
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A text of the user's, in which each place can be told by its characters."""
    content = "".join(chr(0x4E00 + k % 997) if k % 3 else "ab\n"[k % 9 // 3] for k in range(SIZE))
    write_text(tmp_path, "small", content)
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    return content


def classes_of(batch: Batch) -> Tensor:
    """The classes shown, ``(N, T)``, of one-hot inputs."""
    assert isinstance(batch.inputs, Tensor)
    assert torch.equal(batch.inputs.sum(2), torch.ones(batch.inputs.shape[:2]))
    assert set(batch.inputs.unique().tolist()) == {0.0, 1.0}
    return batch.inputs.argmax(2).T


def spelt(classes: Tensor, characters: str) -> str:
    return "".join((characters + "?")[k] for k in classes.tolist())


def test_a_text_is_cut_in_three(small: str) -> None:
    found = corpus("small")
    parts = [spelt(each, found.characters) for each in (found.training, found.validation)]
    assert parts == [small[:3600], small[3600:3800]]
    assert spelt(found.test, found.characters) == small[3800:]
    assert found.characters == "".join(sorted(set(small[:3600])))
    assert found.classes == len(found.characters) + 1


# Batches


def test_the_target_is_the_next_character() -> None:
    batches = [*islice(SMALL.training(0, BATCH), 3), SMALL.validation(0), SMALL.test(0)]
    for batch in batches:
        assert torch.equal(classes_of(batch)[:, 1:], batch.target[:, :-1])


def test_an_epoch_is_the_training_part_from_an_offset_on(small: str) -> None:
    found = corpus("small")
    batches = SMALL.training(0, BATCH)
    starts = []
    for _ in range(3):
        epoch = [next(batches) for _ in range(EPOCH)]
        assert [each.continued for each in epoch] == [False] + [True] * (EPOCH - 1)
        shown = torch.cat([classes_of(each) for each in epoch], 1)
        assert shown.shape == (BATCH, 700)
        target = torch.cat([each.target for each in epoch], 1)
        assert torch.equal(shown[:, 1:], target[:, :-1])
        round_and_round = small[:3600] * 2
        start = round_and_round.index(spelt(shown[0], found.characters))
        starts.append(start)
        for k, row in enumerate(shown):
            expected = round_and_round[(start + 720 * k) % 3600 :][:700]
            assert spelt(row, found.characters) == expected
    assert len(set(starts)) == 3


def test_the_seed_alone_decides_the_offset() -> None:
    def drawn(seed: int) -> Tensor:
        return torch.cat([each.target for each in islice(SMALL.training(seed, BATCH), 3)], 1)

    first = drawn(0)
    torch.rand(3)  # the global generator has no part in it
    assert torch.equal(first, drawn(0))
    assert not torch.equal(first, drawn(1))


@pytest.mark.parametrize("taken", [0, 1, EPOCH - 1, EPOCH, EPOCH + 1])
def test_batches_go_on_where_they_were_left(taken: int) -> None:
    whole = SMALL.training(0, BATCH)
    for _ in range(taken):
        next(whole)
    state: Any = whole.state()
    resumed = SMALL.training(0, BATCH)
    resumed.resume(**state)
    for ours, theirs in zip(islice(whole, 9), islice(resumed, 9), strict=True):
        assert torch.equal(ours.target, theirs.target)
        assert torch.equal(classes_of(ours), classes_of(theirs))
        assert ours.continued == theirs.continued


def test_whole_parts_are_read_side_by_side(small: str) -> None:
    found = corpus("small")
    task = CharacterModel("small", validation_size=10_000, test_size=70)
    for part, batch, each in (
        (small[3600:3800], task.validation(0), 6),  # 199 characters have one after them
        (small[3800:], task.test(0), 2),
    ):
        assert batch.target.shape == (32, each)
        assert not batch.continued
        shown = spelt(classes_of(batch).flatten(), found.characters)
        assert shown == part.translate(_unknown(found.characters))[: 32 * each]
        told = spelt(batch.target.flatten(), found.characters)
        assert told == part.translate(_unknown(found.characters))[1 : 32 * each + 1]
    assert torch.equal(task.test(0).target, task.test(1).target)


def _unknown(characters: str) -> dict[int, str]:
    return {0x4E00 + k: "?" for k in range(997) if chr(0x4E00 + k) not in characters}


# The state


@pytest.mark.parametrize("cell", ["LSTM", "GRU", "nBRC"])
@pytest.mark.parametrize("at", [1, EPOCH - 1, EPOCH, EPOCH + 2])
def test_two_halves_of_a_run_end_with_the_bits_of_the_whole(
    cell: str, at: int, tmp_path: Path
) -> None:
    wanted = config(cell, task=SMALL, steps=2 * EPOCH + 2, evaluate_every=EPOCH)
    weights: list[dict[str, Tensor]] = []

    def watch(training: Training) -> None:
        if training.step == at and not weights:
            torch.save(training.state(), tmp_path / "state")
        if training.over:
            weights.append({k: v.clone() for k, v in training.model.state_dict().items()})

    whole = run(wanted, watch)
    resumed = run(wanted, watch, torch.load(tmp_path / "state"))
    assert (resumed.curve, resumed.test_score) == (whole.curve, whole.test_score)
    assert all(torch.equal(weights[0][name], weights[-1][name]) for name in weights[0])


@pytest.mark.parametrize("cell", ["LSTM", "nBRC"])
def test_the_state_is_carried_in_an_epoch_and_not_beyond(
    cell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = Training(config(cell, task=SMALL, batch_size=BATCH, steps=2 * EPOCH))
    given: list[Any] = []
    returned: list[Any] = []
    forward = training.model.forward

    def watched(inputs: Any, state: Any = None) -> Any:
        given.append(state)
        answer, last = forward(inputs, state)
        returned.append(last)
        return answer, last

    monkeypatch.setattr(training.model, "forward", watched)
    for _ in range(2 * EPOCH):
        training.advance()
    for k, state in enumerate(given):
        if k % EPOCH == 0:
            assert state is None
        else:
            for ours, theirs in zip(_tensors(state), _tensors(returned[k - 1]), strict=True):
                assert torch.equal(ours, theirs)
                assert not ours.requires_grad
                assert ours.any()


def _tensors(state: Any) -> list[Tensor]:
    return [state] if isinstance(state, Tensor) else [x for each in state for x in _tensors(each)]


# Scores


def test_the_baseline_of_a_small_text(tmp_path: Path) -> None:
    """The training part has a and b alone, the test part a third that was never seen."""
    trained = "aab" * 300 + "b" * 60
    content = trained.ljust(1013, "a") + "?" + "abb?" * 13
    write_text(tmp_path, "few", content)
    first = int(0.9 * len(content))
    tested = content[int(0.95 * len(content)) :]
    counts = Counter(content[:first])
    assert set(counts) == {"a", "b"}
    targets = tested[1:33]
    assert Counter(targets).keys() == {"a", "b", "?"}
    chances = {each: (counts[each] + 1) / (first + 3) for each in "ab?"}
    expected = -sum(math.log2(chances[each]) for each in targets) / 32
    task = CharacterModel("few", test_size=32)
    assert task.baseline == pytest.approx(expected)
    log_chances = torch.tensor([chances[each] for each in "ab?"]).log()
    target = task.test(0).target
    # Told for every character, in single precision.
    score = task.score(log_chances.expand(*target.shape, 3), target)
    assert score == pytest.approx(expected, rel=1e-5)


def test_equal_odds_score_the_logarithm_of_the_classes() -> None:
    target = SMALL.test(0).target
    equal = torch.zeros(*target.shape, SMALL.output_size)
    # In single precision.
    assert SMALL.score(equal, target) == pytest.approx(math.log2(SMALL.output_size), rel=1e-5)
    assert SMALL.loss(equal, target).item() == pytest.approx(math.log(SMALL.output_size), rel=1e-5)
    assert SMALL.threshold is None
    assert not SMALL.solved(0.0)


@pytest.mark.parametrize(
    ("task", "name"),
    [
        (CharacterModel(), "characters of the King James Bible, 64 at a time"),
        (CharacterModel("python", 8), "characters of Python's documentation, 8 at a time"),
        (SMALL, "characters of small, 100 at a time"),
    ],
)
def test_names(task: CharacterModel, name: str) -> None:
    assert task.name == name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text": "../secret"}, r"text: expected a name, .* got '../secret'"),
        ({"text": ""}, "text: expected a name"),
        ({"unroll": 0}, "unroll: expected at least 1, got 0"),
        ({"validation_size": 31}, "validation_size: expected at least 32, got 31"),
        ({"test_size": 0}, "test_size: expected at least 32, got 0"),
    ],
)
def test_a_setting_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CharacterModel(**options)


def test_more_streams_than_there_is_text_for() -> None:
    with pytest.raises(ValueError, match="batch_size: expected 1 to 36, with unroll 100 and 3600"):
        SMALL.training(0, 37)
    assert len(next(SMALL.training(0, 36))) == 36
