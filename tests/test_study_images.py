"""Images as sequences: what is shown, in which order, and to which part it belongs."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from torchrecurrent.studies.tasks import datasets
from torchrecurrent.studies.tasks.datasets import VARIABLE, load_images
from torchrecurrent.studies.tasks.images import SequentialImages
from torchrecurrent.studies.tasks.task import Batch

from .data_files import hide_what_is_installed, write_set
from .running import config

DIGITS = SequentialImages("digits")


@pytest.fixture(autouse=True)
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hide_what_is_installed(tmp_path, monkeypatch)


def inputs_of(batch: Batch) -> Tensor:
    assert isinstance(batch.inputs, Tensor)
    return batch.inputs


def images_of(batch: Batch) -> set[bytes]:
    """The images of a batch without blanks."""
    return {each.numpy().tobytes() for each in inputs_of(batch).transpose(0, 1).contiguous()}


# What is shown


@pytest.mark.parametrize("order", ["row", "pixel"])
@pytest.mark.parametrize("pad", ["black", "zero"])
@pytest.mark.parametrize("blanks", [0, 3])
def test_pixels_can_be_read_off_the_steps(order: Any, pad: Any, blanks: int) -> None:
    task = SequentialImages("digits", order, blanks=blanks, pad=pad)
    batch = task.test(0)
    inputs = inputs_of(batch)
    width = 1 if order == "pixel" else 8
    assert inputs.shape == (64 // width + blanks, 360, width)
    assert (task.longest, task.input_size) == (len(inputs), width)
    image, blank = inputs[: 64 // width], inputs[64 // width :]
    assert (blank == 0).all()
    darkest = 0.0 if pad == "black" else -0.5
    assert (image.min().item(), image.max().item()) == (darkest, darkest + 1)
    pixels = (image - darkest) * 16
    assert torch.equal(pixels, pixels.round())
    shown = {
        (each.to(torch.uint8).numpy().tobytes(), label)
        for each, label in zip(
            pixels.transpose(0, 1).reshape(-1, 8, 8), batch.target.tolist(), strict=True
        )
    }
    known = load_images("digits", "train")
    assert shown <= {
        (each.numpy().tobytes(), label)
        for each, label in zip(known.pixels, known.labels.tolist(), strict=True)
    }


@pytest.mark.parametrize("order", ["row", "pixel"])
def test_one_permutation_for_all_images_and_all_seeds(order: Any) -> None:
    plain = SequentialImages("digits", order)
    permuted = SequentialImages("digits", order, permutation=1, blanks=2)
    steps = plain.longest
    whole = _permutation(order)
    assert whole != sorted(whole)
    assert sorted(whole) == list(range(steps))
    for seed in (0, 1):
        for part in ("training", "validation", "test"):
            ours, theirs = (
                inputs_of(
                    next(each.training(seed, 50))
                    if part == "training"
                    else getattr(each, part)(seed)
                )
                for each in (plain, permuted)
            )
            assert torch.equal(ours[whole], theirs[:steps])
            assert not theirs[steps:].any()
    other = inputs_of(replace(permuted, permutation=2).test(0))
    assert not torch.equal(other, inputs_of(permuted.test(0)))


def _permutation(order: Any) -> list[int]:
    """Found by images whose steps all differ."""
    task = SequentialImages("digits", order, permutation=1)
    side = 8
    pixels = torch.arange(64, dtype=torch.uint8).reshape(1, side, side)
    shown = task._batch(datasets.Images(pixels, torch.zeros(1).long(), 63), torch.zeros(1).long())
    return [round(value * 63) // task.input_size for value in inputs_of(shown)[:, 0, 0].tolist()]


def test_each_image_has_blanks_of_its_own() -> None:
    task = SequentialImages("digits", blanks=5, variable_blanks=True, pad="zero")
    fixed = SequentialImages("digits", blanks=5, pad="zero")
    for ours, theirs in (
        (next(task.training(0, 200)), next(fixed.training(0, 200))),
        (task.validation(0), fixed.validation(0)),
        (task.test(0), fixed.test(0)),
    ):
        assert isinstance(ours.inputs, PackedSequence)
        padded, lengths = pad_packed_sequence(ours.inputs, total_length=13)
        assert set(lengths.tolist()) == set(range(8, 14))
        assert torch.equal(padded, inputs_of(theirs))  # blanks are 0, as is padding
        assert torch.equal(ours.target, theirs.target)


def test_the_blanks_of_an_image_stay_the_same_in_every_epoch() -> None:
    task = SequentialImages("digits", blanks=5, variable_blanks=True, validation_size=1427)
    batches = task.training(0, 10)
    seen: list[set[tuple[bytes, int]]] = []
    for packed in (next(batches).inputs for _ in range(2)):
        assert isinstance(packed, PackedSequence)
        padded, lengths = pad_packed_sequence(packed, batch_first=True, total_length=13)
        pairs = zip(padded, lengths.tolist(), strict=True)
        seen.append({(each.numpy().tobytes(), length) for each, length in pairs})
    assert seen[0] == seen[1]
    other = task.test(1).inputs
    assert isinstance(other, PackedSequence)
    assert not torch.equal(other.batch_sizes, task.test(0).inputs.batch_sizes)  # type: ignore[union-attr]


# Parts


def test_an_epoch_the_validation_and_the_test_set_are_all_digits() -> None:
    sizes = []
    for seed in (0, 1):
        batches = DIGITS.training(seed, 100)
        trained = [next(batches) for _ in range(11)]
        sizes.append([len(each) for each in trained])
        parts = [
            set().union(*map(images_of, trained)),
            images_of(DIGITS.validation(seed)),
            images_of(DIGITS.test(seed)),
        ]
        assert [len(each) for each in parts] == [1077, 360, 360]
        assert len(set().union(*parts)) == 1797  # no two of the digits are alike
    assert sizes == [[*[100] * 10, 77]] * 2
    assert images_of(DIGITS.validation(0)) != images_of(DIGITS.validation(1))
    assert torch.equal(inputs_of(DIGITS.test(0)), inputs_of(DIGITS.test(1)))


def test_official_test_images_are_never_trained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_set(tmp_path / "mnist")
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    task = SequentialImages("mnist", validation_size=4)
    batches = task.training(0, 5)
    trained = images_of(next(batches)) | images_of(next(batches))
    held, tested = images_of(task.validation(0)), images_of(task.test(0))
    assert (len(trained), len(held), len(tested)) == (8, 4, 5)
    assert len(trained | held | tested) == 17
    assert task.baseline == 0.4  # two of 0, 1, 2, 0, 1


def test_epochs_differ_in_order() -> None:
    batches = replace(DIGITS, validation_size=1417).training(0, 20)
    first, second = next(batches), next(batches)
    assert not torch.equal(inputs_of(first), inputs_of(second))
    assert images_of(first) == images_of(second)


def test_seeds_differ_in_data() -> None:
    first, second = (inputs_of(next(DIGITS.training(seed, 20))) for seed in (0, 1))
    assert not torch.equal(first, second)
    assert torch.equal(first, inputs_of(next(DIGITS.training(0, 20))))


@pytest.mark.parametrize("variable", [False, True])
@pytest.mark.parametrize("taken", [0, 1, 7, 11])
def test_batches_go_on_where_they_were_left(variable: bool, taken: int) -> None:
    task = SequentialImages("digits", blanks=3, variable_blanks=variable, validation_size=1400)
    whole = task.training(0, 8)
    for _ in range(taken):
        next(whole)
    state: Any = whole.state()
    resumed = task.training(0, 8)
    resumed.resume(**state)
    for ours, theirs in zip(islice(whole, 9), islice(resumed, 9), strict=True):
        for mine, other in ((ours.inputs, theirs.inputs), (ours.target, theirs.target)):
            if isinstance(mine, PackedSequence):
                assert isinstance(other, PackedSequence)
                assert torch.equal(mine.batch_sizes, other.batch_sizes)
                mine, other = mine.data, other.data
            assert isinstance(other, Tensor)
            assert torch.equal(mine, other)


# Names, scores and settings


@pytest.mark.parametrize(
    ("task", "name"),
    [
        (SequentialImages(permutation=1, blanks=72), "Fashion-MNIST by row, permuted, 72 blanks"),
        (SequentialImages("mnist", "pixel"), "MNIST by pixel"),
        (SequentialImages("mnist", blanks=9, pad="zero"), "MNIST by row, 9 grey blanks"),
        (
            SequentialImages("digits", blanks=3, variable_blanks=True),
            "8 x 8 digits by row, 0 to 3 blanks",
        ),
    ],
)
def test_names(task: SequentialImages, name: str) -> None:
    assert task.name == name


def test_digits_are_never_called_mnist() -> None:
    for task in (DIGITS, SequentialImages("digits", "pixel", 1, 3, "zero", True)):
        assert "mnist" not in task.name.lower()
        assert "mnist" not in config(task=task).title.lower()


def test_always_telling_the_commonest_class_scores_the_baseline() -> None:
    target = DIGITS.test(0).target
    scores = [DIGITS.score(torch.eye(10)[k].expand(360, 10), target) for k in range(10)]
    assert max(scores) == DIGITS.baseline
    assert sum(scores) == pytest.approx(1)
    assert math.isnan(DIGITS.score(torch.full((360, 10), math.nan), target))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"images": "faces"}, "images: expected one of fashion-mnist, mnist, digits, got 'faces'"),
        ({"order": "column"}, "order: expected one of pixel, row, got 'column'"),
        ({"pad": "white"}, "pad: expected one of black, zero, got 'white'"),
        ({"blanks": -1}, "blanks: expected at least 0, got -1"),
        ({"variable_blanks": True}, "variable_blanks: expected blanks of at least 1, got blanks 0"),
        ({"validation_size": 0}, "validation_size: expected at least 1, got 0"),
    ],
)
def test_a_setting_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SequentialImages(**options)


def test_more_than_there_is() -> None:
    with pytest.raises(ValueError, match="validation_size: expected less than the 1437 images"):
        SequentialImages("digits", validation_size=1437).training(0, 1)
    with pytest.raises(ValueError, match="batch_size: expected 1 to 1077, the training set's"):
        DIGITS.training(0, 1078)
