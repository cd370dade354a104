"""The adding problem: add the two marked numbers of a sequence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from .sampled import Regression
from .task import Batch, check_positive

__all__ = ["Adding"]


@dataclass(frozen=True)
class Adding(Regression):
    """Channel 0 is U(0, 1), channel 1 is 1 at two steps and 0 elsewhere; the target is the sum.

    From Hochreiter and Schmidhuber (1997), in the form of Arjovsky, Shah and Bengio (2016).
    Inputs ``(T, N, 2)``, targets ``(N, 1)``.

    Attributes:
        length: T.
        markers: ``"halves"``: one in the first T // 2 steps, one in the others;
            ``"anywhere"``: at any two different steps.
        validation_size: number of validation sequences.
        test_size: number of test sequences.
        train_size: number of training sequences; ``None``: no sequence is seen twice.
    """

    baseline_name: ClassVar[str] = "always 1"

    length: int
    markers: Literal["halves", "anywhere"] = "halves"
    validation_size: int = 1000
    test_size: int = 2000
    train_size: int | None = None

    def __post_init__(self) -> None:
        if self.length < 2:
            raise ValueError(f"length: expected at least 2, got {self.length}")
        check_positive(self, "validation_size", "test_size", "train_size")

    @property
    def name(self) -> str:
        return f"adding, T = {self.length}"

    @property
    def key(self) -> tuple[str | int, ...]:
        return "adding", self.length, self.markers

    @property
    def input_size(self) -> int:
        return 2

    @property
    def output_size(self) -> int:
        return 1

    @property
    def longest(self) -> int:
        return self.length

    @property
    def baseline(self) -> float:
        """The variance of the sum, which is the error of always answering its mean."""
        return 1 / 6

    @property
    def threshold(self) -> float:
        return 0.05

    def draw(self, generator: torch.Generator, count: int) -> Batch:
        values = torch.rand(self.length, count, generator=generator)
        if self.markers == "halves":
            half = self.length // 2
            first = torch.randint(0, half, (count,), generator=generator)
            second = torch.randint(half, self.length, (count,), generator=generator)
        else:
            first = torch.randint(0, self.length, (count,), generator=generator)
            others = torch.randint(1, self.length, (count,), generator=generator)
            second = (first + others) % self.length
        marks = torch.zeros_like(values)
        marks[torch.stack([first, second]), torch.arange(count)] = 1
        return Batch(torch.stack([values, marks], 2), (values * marks).sum(0)[:, None])
