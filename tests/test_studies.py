"""The studies: their data, models and training."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

import torchrecurrent
from torchrecurrent.studies.running import training
from torchrecurrent.studies.running.models import SequenceModel, build_layer
from torchrecurrent.studies.running.streams import stream_seed
from torchrecurrent.studies.running.training import Training, run
from torchrecurrent.studies.tasks.copy_first import CopyFirst
from torchrecurrent.studies.tasks.images import SequentialImages
from torchrecurrent.studies.tasks.task import Task
from torchrecurrent.studies.tasks.vowels import SPEAKERS, Vowels, load

from .running import CELLS, config

# Japanese vowels


@pytest.mark.parametrize(
    ("part", "counts", "longest"),
    [("train", [30] * 9, 26), ("test", [31, 35, 88, 44, 29, 24, 40, 50, 29], 29)],
)
def test_vowels_are_the_published_recordings(part: Any, counts: list[int], longest: int) -> None:
    recordings = load(part)
    lengths = [len(each) for each in recordings.sequences]
    assert recordings.speakers.bincount().tolist() == counts
    assert len(recordings) == sum(counts)
    assert (min(lengths), max(lengths)) == (7, longest)
    for each in recordings.sequences:
        assert each.shape[1] == 12
        assert each.dtype == torch.float32
        assert each.isfinite().all()


def test_no_vowel_is_both_trained_on_and_tested() -> None:
    seen = {each.numpy().tobytes() for each in load("train").sequences}
    unseen = {each.numpy().tobytes() for each in load("test").sequences}
    assert len(seen) == 270
    assert len(unseen) == 370
    assert not seen & unseen


def test_the_first_published_value() -> None:
    assert load("train").sequences[0][0, 0].item() == pytest.approx(1.860936)


def test_an_epoch_and_the_validation_set_are_the_training_set() -> None:
    task = Vowels()
    batches = task.training(7, 27)
    packs = [next(batches) for _ in range(task.training_size // 27)]
    validation = task.validation(7)
    speakers = torch.cat([each.target for each in [*packs, validation]])
    assert speakers.bincount().tolist() == [30] * SPEAKERS
    assert validation.target.bincount().tolist() == [task.held_out] * SPEAKERS
    rows = [sequence_bytes(each.inputs) for each in [*packs, validation]]
    assert len(set().union(*rows)) == 270


def test_vowels_are_scaled_by_what_is_trained_on() -> None:
    task = Vowels()
    batches = task.training(0, task.training_size)
    inputs = next(batches).inputs
    assert isinstance(inputs, PackedSequence)
    assert torch.allclose(inputs.data.mean(0), torch.zeros(12), atol=1e-4)
    assert torch.allclose(inputs.data.std(0), torch.ones(12), atol=1e-4)


def test_vowels_baseline_is_the_commonest_speaker() -> None:
    assert Vowels().baseline == pytest.approx(88 / 370)


def sequence_bytes(inputs: torch.Tensor | PackedSequence) -> set[bytes]:
    assert isinstance(inputs, PackedSequence)
    padded, lengths = pad_packed_sequence(inputs, batch_first=True)
    return {row[:n].numpy().tobytes() for row, n in zip(padded, lengths.tolist(), strict=True)}


# Copy-first-input


def test_the_target_is_the_first_input() -> None:
    batch = next(CopyFirst(7).training(0, 5))
    assert isinstance(batch.inputs, torch.Tensor)
    assert batch.inputs.shape == (7, 5, 1)
    assert torch.equal(batch.target, batch.inputs[0])


def test_always_answering_0_scores_the_baseline() -> None:
    task = CopyFirst(2, test_size=20_000)
    target = task.test(0).target
    score = task.score(torch.zeros_like(target), target)
    # The variance of a squared N(0, 1) value is 2.
    assert abs(score - task.baseline) < 3 * math.sqrt(2 / len(target))


def test_a_prediction_that_would_broadcast_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected shape \(5, 1\), got \(5,\)"):
        CopyFirst(3).loss(torch.zeros(5), torch.zeros(5, 1))
    with pytest.raises(ValueError, match=r"expected shape \(5, 9\), got \(1, 9\)"):
        Vowels().score(torch.zeros(1, 9), torch.zeros(5, dtype=torch.int64))


# All of these tasks


@pytest.mark.parametrize(
    "task",
    [CopyFirst(4, 8, 8), Vowels(), SequentialImages("digits")],
    ids=["copy", "vowels", "digits"],
)
def test_the_seed_alone_decides_the_data(task: Task) -> None:
    def drawn(seed: int) -> list[torch.Tensor]:
        batches = task.training(seed, 8)
        sets = [next(batches), next(batches), task.validation(seed)]
        return [x.inputs.data if isinstance(x.inputs, PackedSequence) else x.inputs for x in sets]

    first = drawn(0)
    torch.rand(3)  # the global generator, which builds the models, has no part in it
    assert all(torch.equal(a, b) for a, b in zip(first, drawn(0), strict=True))
    other = drawn(1)
    assert not any(
        a.shape == b.shape and torch.equal(a, b) for a, b in zip(first, other, strict=True)
    )


def test_the_streams_of_a_seed_differ() -> None:
    task = CopyFirst(4, 8, 8)
    sets = [next(task.training(0, 8)), task.validation(0), task.test(0)]
    values = {each.target.numpy().tobytes() for each in sets}
    assert len(values) == 3
    assert len({stream_seed("a", 1), stream_seed("a", 2), stream_seed("b", 1)}) == 3


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_is_given_the_same_batches(cell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.Tensor] = []

    def forward(
        self: SequenceModel, inputs: torch.Tensor, state: Any = None
    ) -> tuple[torch.Tensor, Any]:
        seen.append(inputs)
        outputs, last = self.layer(inputs, state)
        return self.read_out(outputs[-1]), last

    monkeypatch.setattr(SequenceModel, "forward", forward)
    run(config(cell))
    batches = CopyFirst(3, 10, 10).training(0, 5)
    trained = [each for each in seen if each.size(1) == 5]
    assert len(trained) == 3
    assert all(torch.equal(each, next(batches).inputs) for each in trained)  # type: ignore[arg-type]


# Models


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("LSTM", nn.LSTM),
        ("GRU", nn.GRU),
        ("BRC", torchrecurrent.BR),
        ("nBRC", torchrecurrent.nBR),
        ("LEM", torchrecurrent.LEM),
        ("torchrecurrent.LSTM", torchrecurrent.LSTM),
        ("BRCell", torchrecurrent.Recurrent),
    ],
)
def test_layers_by_name(name: str, kind: type[nn.Module]) -> None:
    assert type(build_layer(name, 2, 3, 1)) is kind


@pytest.mark.parametrize("name", ["", "Nothing", "RecurrentLayer", "BaseRecurrentCell", "cells"])
def test_a_name_that_is_no_layer(name: str) -> None:
    with pytest.raises(ValueError, match=r"cell: expected one of LSTM, GRU, BRC, nBRC, a layer or"):
        build_layer(name, 2, 3, 1)


@pytest.mark.parametrize("cell", CELLS)
def test_the_answer_is_read_from_the_last_valid_output(cell: str) -> None:
    model = SequenceModel(cell, 2, 3, 2, 4)
    sequences = [torch.randn(n, 2) for n in (3, 5, 1)]
    packed = nn.utils.rnn.pack_sequence(sequences, enforce_sorted=False)
    alone = torch.cat([model(each.unsqueeze(1))[0] for each in sequences])
    torch.testing.assert_close(model(packed)[0], alone)


# Training


def test_a_run_repeats_itself_and_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    first, second = run(config("nBRC")), run(config("nBRC"))
    assert torch.equal(before, torch.get_rng_state())
    assert first.status == "done"
    assert (first.curve, first.test_score) == (second.curve, second.test_score)
    assert [step for step, _ in first.curve] == [0, 2, 3]


@pytest.mark.parametrize("task", [CopyFirst(4, 8, 83), Vowels()], ids=["copy", "vowels"])
def test_evaluation_in_pieces(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    under_way = Training(config("GRU", task=task))
    whole = under_way.score(task.test(0))
    monkeypatch.setattr(training, "EVALUATED_STEPS", 100)
    assert len(training._parts(task.test(0))) > 3
    # Means of means, in another order of sums.
    assert under_way.score(task.test(0)) == pytest.approx(whole, rel=1e-5)


def test_divergence_ends_a_run_and_is_told() -> None:
    outcome = run(config(learning_rate=1e37, steps=50))
    assert outcome.status == "diverged"
    assert outcome.steps_done < 50
    assert outcome.test_score is None
    json.dumps(outcome.to_dict(), allow_nan=False)


@pytest.mark.parametrize("field", ["hidden_size", "steps", "batch_size", "evaluate_every"])
def test_a_configuration_out_of_range(field: str) -> None:
    with pytest.raises(ValueError, match=rf"{field}: expected at least 1, got 0"):
        replace(config(), **{field: 0})  # type: ignore[arg-type]


@pytest.mark.parametrize("cell", ["LRU", "LinOSS", "nBRC", "LSTM", "LSTM,bidirectional=True"])
def test_the_read_out_is_as_wide_as_the_outputs(cell: str) -> None:
    """Those of some layers have the input's width, those of two directions twice the state's."""
    model = SequenceModel(cell, 2, 6, 1, 3)
    answer, _ = model(torch.randn(5, 4, 2))
    assert answer.shape == (4, 3)
