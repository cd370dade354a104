"""Copy-first-input: recall the first value of a sequence of noise at its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from .sampled import Regression
from .task import Batch, check_positive

__all__ = ["CopyFirst"]


@dataclass(frozen=True)
class CopyFirst(Regression):
    """Sequences of independent N(0, 1) values; the target is the first of them.

    The first benchmark of Vecoven, Ernst and Drion (2021). Inputs ``(T, N, 1)``, targets
    ``(N, 1)``. Training, validation and test data are separate streams.

    Attributes:
        length: T; the value has to be held for T - 1 steps.
        validation_size: number of validation sequences.
        test_size: number of test sequences.
        train_size: number of training sequences; ``None``: no sequence is seen twice.
    """

    baseline_name: ClassVar[str] = "always 0"

    length: int
    validation_size: int = 500
    test_size: int = 2000
    train_size: int | None = None

    def __post_init__(self) -> None:
        check_positive(self, "length", "validation_size", "test_size", "train_size")

    @property
    def name(self) -> str:
        return f"copy first input, T = {self.length}"

    @property
    def key(self) -> tuple[str | int, ...]:
        return "copy-first", self.length

    @property
    def input_size(self) -> int:
        return 1

    @property
    def output_size(self) -> int:
        return 1

    @property
    def longest(self) -> int:
        return self.length

    @property
    def baseline(self) -> float:
        """The variance of the target, which is the error of always answering its mean, 0."""
        return 1.0

    @property
    def threshold(self) -> float:
        """The score at which the source's scripts stop."""
        return 0.1

    def draw(self, generator: torch.Generator, count: int) -> Batch:
        inputs = torch.randn(self.length, count, 1, generator=generator)
        return Batch(inputs, inputs[0].clone())
