"""Copy-first-input: a sequence of noise, and at its end its first value is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .streams import stream
from .task import Batch, check_shapes

__all__ = ["CopyFirst"]


@dataclass(frozen=True)
class CopyFirst:
    """Sequences of independent N(0, 1) values; the target is the first of them.

    The first benchmark of Vecoven, Ernst and Drion (2021). Batches are drawn afresh, so
    no sequence is seen twice, and training, validation and test are streams of their own.

    Attributes:
        length: T; the value is to be held for T - 1 steps.
        validation_size: number of validation sequences.
        test_size: number of test sequences.
    """

    length: int
    validation_size: int = 500
    test_size: int = 2000

    def __post_init__(self) -> None:
        for field in ("length", "validation_size", "test_size"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field}: expected at least 1, got {getattr(self, field)}")

    @property
    def name(self) -> str:
        return f"copy first input, T = {self.length}"

    @property
    def input_size(self) -> int:
        return 1

    @property
    def output_size(self) -> int:
        return 1

    @property
    def measure(self) -> str:
        return "MSE"

    @property
    def higher_is_better(self) -> bool:
        return False

    @property
    def baseline(self) -> float:
        """The variance of the target, which is the error of always answering its mean, 0."""
        return 1.0

    @property
    def baseline_name(self) -> str:
        return "always 0"

    def training(self, seed: int, batch_size: int) -> Iterator[Batch]:
        """Endless batches, inputs ``(T, batch_size, 1)``, targets ``(batch_size, 1)``."""
        generator = stream("copy-first", "training", self.length, seed)
        while True:
            yield self._draw(generator, batch_size)

    def validation(self, seed: int) -> Batch:
        """``validation_size`` sequences, shaped as in training."""
        generator = stream("copy-first", "validation", self.length, seed)
        return self._draw(generator, self.validation_size)

    def test(self, seed: int) -> Batch:
        """``test_size`` sequences, shaped as in training."""
        return self._draw(stream("copy-first", "test", self.length, seed), self.test_size)

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Mean squared error of two tensors of shape ``(N, 1)``.

        Raises:
            ValueError: the prediction has another shape.
        """
        check_shapes("prediction", prediction, tuple(target.shape))
        return functional.mse_loss(prediction, target)

    def score(self, prediction: Tensor, target: Tensor) -> float:
        """The same, as a number."""
        return self.loss(prediction, target).item()

    def _draw(self, generator: torch.Generator, count: int) -> Batch:
        inputs = torch.randn(self.length, count, 1, generator=generator)
        return Batch(inputs, inputs[0].clone())
