"""A language model of characters: predict the next one at each step of a text."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from ..running.scores import cross_entropy
from ..running.streams import stream
from .task import Answers, Batch, Batches, Task, check_positive
from .text import Corpus, corpus

__all__ = ["CharacterModel"]

#: The number of parts of validation and test texts, which are read side by side.
SIDE_BY_SIDE = 32
TITLES = {"kjv": "the King James Bible", "python": "Python's documentation"}


@dataclass(frozen=True)
class CharacterModel(Task):
    """Predict the next character of a text.

    Inputs are one-hot, ``(T, N, V)``, targets the classes of the characters after them,
    ``(N, T)``. V is the number of characters in the training part, plus one for all others.

    The training part, rotated by an offset drawn for each epoch, is cut into as many streams as a
    batch has sequences. Each batch continues where the one before ended, with the state that it
    left. Validation and test texts are read in 32 parts, each from start to end with one state.

    Attributes:
        text: ``"kjv"``, ``"python"`` or the name of a text of the user's; see
            ``read_text`` of ``studies/text.py``.
        unroll: T in training, the number of steps that a gradient goes back.
        validation_size: the most characters to use from the start of the validation part.
        test_size: the most characters to use from the start of the test part.
    """

    measure: ClassVar[str] = "bits per character"
    baseline_name: ClassVar[str] = "frequencies"

    text: str = "kjv"
    unroll: int = 64
    validation_size: int = 50_000
    test_size: int = 50_000

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\w[\w.-]*", self.text):
            raise ValueError(f"text: expected a name, as of a file without .txt, got {self.text!r}")
        check_positive(self, "unroll")
        for field in ("validation_size", "test_size"):
            if getattr(self, field) < SIDE_BY_SIDE:
                found = getattr(self, field)
                raise ValueError(f"{field}: expected at least {SIDE_BY_SIDE}, got {found}")

    @property
    def name(self) -> str:
        """Such as ``"characters of the King James Bible, 64 at a time"``."""
        return f"characters of {TITLES.get(self.text, self.text)}, {self.unroll} at a time"

    @property
    def input_size(self) -> int:
        """V.

        Raises:
            StudyError: if the text is missing.
        """
        return corpus(self.text).classes

    @property
    def output_size(self) -> int:
        return self.input_size

    @property
    def longest(self) -> int:
        return self.unroll

    @property
    def answers(self) -> Answers:
        return "every"

    @property
    def baseline(self) -> float:
        """Bits per character of the test text, if predicted by its frequency in training.

        One is added to each class's count, so that unseen characters have some probability.
        """
        found = corpus(self.text)
        counts = found.training.bincount(minlength=found.classes).double() + 1
        bits = -(counts / counts.sum()).log2()
        return bits[self.test(0).target].mean().item()

    @property
    def threshold(self) -> None:
        """``None``: there is no score at which a text is solved."""

    def training(self, seed: int, batch_size: int) -> Batches:
        """Yield batches without end, all but the first of an epoch ``continued``.

        Raises:
            StudyError: the text is missing.
            ValueError: the training part is too short for ``batch_size`` streams.
        """
        found = corpus(self.text)
        most = len(found.training) // self.unroll
        if not 0 < batch_size <= most:
            raise ValueError(
                f"batch_size: expected 1 to {most}, with unroll {self.unroll} and "
                f"{len(found.training)} characters, got {batch_size}"
            )
        return Batches(
            stream("characters", "offset", seed), lambda g: self._epoch(found, batch_size, g)
        )

    def _epoch(self, found: Corpus, batch_size: int, generator: torch.Generator) -> Iterator[Batch]:
        length = len(found.training)
        offset = torch.randint(length, (), generator=generator)
        each = length // batch_size  # the length of a stream; the rest differs with the offset
        starts = offset + each * torch.arange(batch_size)
        steps = torch.arange(self.unroll + 1)[:, None]
        for at in range(0, each - self.unroll + 1, self.unroll):
            shown = found.training[(starts + at + steps) % length].long()
            yield self._batch(found, shown, continued=at > 0)

    def validation(self, seed: int) -> Batch:
        """The start of the validation part, the same for every seed."""
        found = corpus(self.text)
        return self._whole(found, found.validation, self.validation_size)

    def test(self, seed: int) -> Batch:
        """The start of the test part, the same for every seed."""
        found = corpus(self.text)
        return self._whole(found, found.test, self.test_size)

    def _whole(self, found: Corpus, part: Tensor, size: int) -> Batch:
        each = min(size, len(part) - 1) // SIDE_BY_SIDE
        windows = part[: SIDE_BY_SIDE * each + 1].unfold(0, each + 1, each)
        return self._batch(found, windows.T.long(), continued=False)

    def _batch(self, found: Corpus, shown: Tensor, *, continued: bool) -> Batch:
        """Make a batch from the classes ``(T + 1, N)``."""
        inputs = functional.one_hot(shown[:-1], found.classes).float()
        return Batch(inputs, shown[1:].T.contiguous(), continued)

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Mean cross-entropy of scores ``(N, T, V)`` for classes ``(N, T)``, in nats.

        Raises:
            ValueError: the prediction has another shape.
        """
        return cross_entropy(prediction, target, self.output_size)

    def score(self, prediction: Tensor, target: Tensor) -> float:
        """Return the loss in bits per character."""
        return self.loss(prediction, target).item() / math.log(2)
