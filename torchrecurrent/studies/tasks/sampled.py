"""Tasks whose sequences are drawn from a distribution."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from ..running.scores import squared_error
from ..running.streams import stream
from .task import Batch, Batches, Task, passes

__all__ = ["Regression", "Sampled"]


class Sampled(Task):
    """A task whose sequences are drawn from a distribution.

    Attributes:
        train_size: number of training sequences, which are used repeatedly; ``None``:
            every batch is newly drawn, and no sequence is seen twice.
        validation_size: number of validation sequences.
        test_size: number of test sequences.
    """

    train_size: int | None
    validation_size: int
    test_size: int

    @property
    @abstractmethod
    def key(self) -> tuple[str | int, ...]:
        """A name, and all that the draws depend on besides the seed."""

    @abstractmethod
    def draw(self, generator: torch.Generator, count: int) -> Batch:
        """Draw ``count`` sequences."""

    def training(self, seed: int, batch_size: int) -> Batches:
        """Yield batches without end, newly drawn or from ``train_size`` sequences."""
        generator = self._stream("training", seed)
        if self.train_size is not None:
            return passes(self.draw(generator, self.train_size), batch_size, generator)
        return Batches(generator, lambda generator: iter([self.draw(generator, batch_size)]))

    def validation(self, seed: int) -> Batch:
        """``validation_size`` sequences, shaped as in training."""
        return self.draw(self._stream("validation", seed), self.validation_size)

    def test(self, seed: int) -> Batch:
        """``test_size`` sequences, shaped as in training."""
        return self.draw(self._stream("test", seed), self.test_size)

    def _stream(self, part: str, seed: int) -> torch.Generator:
        name, *rest = self.key
        return stream(name, part, *rest, seed)


class Regression(Sampled):
    """A sampled task whose targets are numbers."""

    measure: ClassVar[str] = "MSE"

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Mean squared error of two tensors of the target's shape.

        Raises:
            ValueError: the prediction has another shape.
        """
        return squared_error(prediction, target)
