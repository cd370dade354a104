"""Images shown row by row or pixel by pixel, with a blank before the answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence

from ..running.scores import accuracy, cross_entropy
from ..running.streams import stream
from .datasets import CLASSES, SIDE, Images, ImageSet, load_images
from .task import Batch, Batches, Task, check_batch_size, check_positive

__all__ = ["SequentialImages"]

TITLES: dict[ImageSet, str] = {
    "fashion-mnist": "Fashion-MNIST",
    "mnist": "MNIST",
    "digits": "8 x 8 digits",
}
SIDES: dict[ImageSet, int] = {"fashion-mnist": SIDE, "mnist": SIDE, "digits": 8}
#: Validation images out of 60,000 of MNIST's kind, and out of the 1,797 digits.
VALIDATION: dict[ImageSet, int] = {"fashion-mnist": 5000, "mnist": 5000, "digits": 360}
#: The number of test digits, the same for every seed.
DIGITS_TESTED = 360


@dataclass(frozen=True)
class SequentialImages(Task):
    """Classify an image after its last step.

    Benchmark 3 of Vecoven, Ernst and Drion (2021). Inputs ``(T, N, I)``, I = 1 by pixel and
    the width by row; targets ``(N,)``. A blank step is 0 in either scale of the pixels.

    Attributes:
        images: Fashion-MNIST, MNIST (from the user's files), or scikit-learn's digits.
        order: a step is a pixel or a row.
        permutation: seed of the order in which the steps of all images are shown, whatever
            the run's seed; ``None``: from the top left.
        blanks: steps after the image.
        pad: ``"black"``: pixels from 0, which is black, to 1; ``"zero"``: from -0.5 to 0.5, so
            that a blank is mid-grey, as in the authors' later code.
        variable_blanks: each image has its own number of blanks, from 0 to ``blanks`` with
            equal odds; batches are packed.
        validation_size: images taken from the training set for validation; which ones depends
            on the seed. ``None``: 5,000, or 360 of the digits.
    """

    measure: ClassVar[str] = "accuracy"
    higher_is_better: ClassVar[bool] = True
    baseline_name: ClassVar[str] = "commonest class"

    images: ImageSet = "fashion-mnist"
    order: Literal["pixel", "row"] = "row"
    permutation: int | None = None
    blanks: int = 0
    pad: Literal["black", "zero"] = "black"
    variable_blanks: bool = False
    validation_size: int | None = None

    def __post_init__(self) -> None:
        choices = {"images": tuple(TITLES), "order": ("pixel", "row"), "pad": ("black", "zero")}
        for field, expected in choices.items():
            found = getattr(self, field)
            if found not in expected:
                raise ValueError(f"{field}: expected one of {', '.join(expected)}, got {found!r}")
        if self.blanks < 0:
            raise ValueError(f"blanks: expected at least 0, got {self.blanks}")
        if self.variable_blanks and not self.blanks:
            raise ValueError("variable_blanks: expected blanks of at least 1, got blanks 0")
        check_positive(self, "validation_size")

    @property
    def name(self) -> str:
        """Such as ``"Fashion-MNIST by row, permuted, 72 blanks"``."""
        said = [f"{TITLES[self.images]} by {self.order}"]
        if self.permutation is not None:
            said.append("permuted")
        if self.blanks:
            grey = "grey " if self.pad == "zero" else ""
            said.append(f"{'0 to ' if self.variable_blanks else ''}{self.blanks} {grey}blanks")
        return ", ".join(said)

    @property
    def input_size(self) -> int:
        return 1 if self.order == "pixel" else SIDES[self.images]

    @property
    def output_size(self) -> int:
        return CLASSES

    @property
    def shown(self) -> int:
        """Steps of an image."""
        side = SIDES[self.images]
        return side * side if self.order == "pixel" else side

    @property
    def longest(self) -> int:
        return self.shown + self.blanks

    @property
    def baseline(self) -> float:
        """The share of the commonest class of the test set."""
        labels = self._test().labels
        return labels.bincount().max().item() / len(labels)

    @property
    def threshold(self) -> float:
        """The score at which the authors' later scripts end the training."""
        return 0.7

    def training(self, seed: int, batch_size: int) -> Batches:
        """Yield batches without end, each epoch in a new order; its last batch may be smaller.

        Raises:
            StudyError: if the data set is missing or malformed.
            ValueError: if the batch or the validation set is larger than the training set.
        """
        kept, _ = self._split(seed)
        check_batch_size(batch_size, len(kept))
        pool, blanks = self._pool(), self._blanks("training", seed)

        def epoch(generator: torch.Generator) -> Iterator[Batch]:
            order = kept[torch.randperm(len(kept), generator=generator)]
            return (
                self._batch(pool.select(indices), blanks[indices])
                for indices in torch.split(order, batch_size)
            )

        return Batches(stream("images", "order", seed), epoch)

    def validation(self, seed: int) -> Batch:
        """``validation_size`` images of the official training set, not trained on."""
        _, held = self._split(seed)
        return self._batch(self._pool().select(held), self._blanks("training", seed)[held])

    def test(self, seed: int) -> Batch:
        """The official test set, or the digits kept for it; the same for every seed.

        With ``variable_blanks`` the numbers of blanks depend on the seed.
        """
        return self._batch(self._test(), self._blanks("test", seed))

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Mean cross-entropy of scores ``(N, 10)`` for classes ``(N,)``, in nats.

        Raises:
            ValueError: the prediction has another shape.
        """
        return cross_entropy(prediction, target, CLASSES)

    def score(self, prediction: Tensor, target: Tensor) -> float:
        """Return the share of images classified correctly; NaN if a prediction is not finite."""
        return accuracy(prediction, target, CLASSES)

    def _pool(self) -> Images:
        """Return the images for training and validation."""
        if self.images == "digits":
            return load_images("digits", "train").select(_digit_order()[DIGITS_TESTED:])
        return load_images(self.images, "train")

    def _test(self) -> Images:
        if self.images == "digits":
            return load_images("digits", "train").select(_digit_order()[:DIGITS_TESTED])
        return load_images(self.images, "test")

    def _split(self, seed: int) -> tuple[Tensor, Tensor]:
        """Return the indices in the pool of the training and of the validation images."""
        count = len(self._pool())
        held = self.validation_size or VALIDATION[self.images]
        if held >= count:
            raise ValueError(
                f"validation_size: expected less than the {count} images of the training set, "
                f"got {held}"
            )
        order = torch.randperm(count, generator=stream("images", "split", self.images, seed))
        return order[held:], order[:held]

    def _blanks(self, part: str, seed: int) -> Tensor:
        """Each image's number of blanks, ``(N,)``, the same in every epoch."""
        count = len(self._test() if part == "test" else self._pool())
        if not self.variable_blanks:
            return torch.full((count,), self.blanks)
        generator = stream("images", "blanks", part, self.blanks, seed)
        return torch.randint(0, self.blanks + 1, (count,), generator=generator)

    def _batch(self, chosen: Images, blanks: Tensor) -> Batch:
        """Make a batch when it is needed: all images would take gigabytes."""
        steps = chosen.pixels.reshape(len(chosen), self.shown, self.input_size)
        if self.permutation is not None:
            generator = stream("images", "permutation", self.permutation)
            steps = steps[:, torch.randperm(self.shown, generator=generator)]
        darkest = 0.0 if self.pad == "black" else -0.5
        inputs = torch.zeros(self.longest, len(chosen), self.input_size)
        inputs[: self.shown] = steps.transpose(0, 1).float() / chosen.white + darkest
        if not self.variable_blanks:
            return Batch(inputs, chosen.labels)
        lengths = self.shown + blanks
        packed = pack_padded_sequence(inputs, lengths, enforce_sorted=False)
        return Batch(packed, chosen.labels)


def _digit_order() -> Tensor:
    """Return a fixed random order of the digits: adjacent ones were written by one person."""
    count = len(load_images("digits", "train"))
    return torch.randperm(count, generator=stream("images", "digits"))
