"""Denoising: recall the marked values of a sequence of noise, in their order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from .sampled import Regression
from .task import Answers, Batch, check_positive

__all__ = ["Denoising"]


@dataclass(frozen=True)
class Denoising(Regression):
    """N(0, 1) values of which a few are marked; the targets are the marked ones, in order.

    The second benchmark of Vecoven, Ernst and Drion (2021), in its two forms. In channel 0 are
    the values, in channel 1 the marks, all at different steps.

    Attributes:
        length: T, the steps that hold values.
        values: n, the number of marked values.
        delay: N, the number of last steps of T without a marked value; in the form ``"stepwise"``
            the last step never has one, so that 0 and 1 are the same.
        form: ``"stepwise"``, the authors' later code: inputs ``(T + n - 1, N, 2)``, marks are 1,
            others 0, and at step T comes the cue, a value of 0 with a mark of -1. The answers
            are given from there on, one per step, without further input; targets ``(N, n, 1)``.
            ``"last"``, their first code: inputs ``(T + 1, N, 2)``, marks are 0, others -1; the
            cue, a separate step, is 1; all answers are given there, targets ``(N, n)``.
        validation_size: number of validation sequences.
        test_size: number of test sequences.
        train_size: number of training sequences; ``None``: no sequence is seen twice.
    """

    baseline_name: ClassVar[str] = "always 0"

    length: int
    values: int = 5
    delay: int = 0
    form: Literal["stepwise", "last"] = "stepwise"
    validation_size: int = 500
    test_size: int = 2000
    train_size: int | None = None

    def __post_init__(self) -> None:
        sizes = ("length", "values", "validation_size", "test_size", "train_size")
        check_positive(self, *sizes)
        if self.delay < 0:
            raise ValueError(f"delay: expected at least 0, got {self.delay}")
        if self._span < self.values:
            raise ValueError(
                f"delay: expected {self.values} steps or more before it, of length={self.length}, "
                f"got delay={self.delay}"
            )

    @property
    def _span(self) -> int:
        """The number of first steps that may be marked."""
        return self.length - max(self.delay, 1 if self.form == "stepwise" else 0)

    @property
    def name(self) -> str:
        how = f", {self.values} values, the last {self.delay} steps without"
        return f"denoising, T = {self.length}{how}" + (", all at once" * (self.form == "last"))

    @property
    def key(self) -> tuple[str | int, ...]:
        return "denoising", self.length, self.values, self.delay, self.form

    @property
    def input_size(self) -> int:
        return 2

    @property
    def output_size(self) -> int:
        return 1 if self.form == "stepwise" else self.values

    @property
    def longest(self) -> int:
        return self.length + (self.values - 1 if self.form == "stepwise" else 1)

    @property
    def answers(self) -> Answers:
        return self.values if self.form == "stepwise" else "last"

    @property
    def baseline(self) -> float:
        """The variance of the targets, which is the error of always answering their mean, 0."""
        return 1.0

    @property
    def threshold(self) -> float:
        """The score at which the authors' scripts stop."""
        return 0.1

    def draw(self, generator: torch.Generator, count: int) -> Batch:
        inputs = torch.zeros(self.longest, count, 2)
        noise = torch.randn(self.length, count, generator=generator)
        order = torch.rand(self._span, count, generator=generator).argsort(0)
        marked = order[: self.values].sort(0).values
        target = noise.gather(0, marked).T.contiguous()
        inputs[: self.length, :, 0] = noise
        if self.form == "stepwise":
            inputs[:, :, 1].scatter_(0, marked, 1)
            inputs[self.length - 1] = torch.tensor([0.0, -1.0])
            return Batch(inputs, target[:, :, None])
        inputs[:, :, 1] = -1
        inputs[:, :, 1].scatter_(0, marked, 0)
        inputs[-1] = torch.tensor([0.0, 1.0])
        return Batch(inputs, target)
