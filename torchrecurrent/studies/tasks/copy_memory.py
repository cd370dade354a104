"""Copy memory: recall ten symbols after a long blank."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional

from ..running.scores import cross_entropy
from .sampled import Sampled
from .task import Answers, Batch, check_positive

__all__ = ["CopyMemory"]

SYMBOLS = 8
MEMORY = 10


@dataclass(frozen=True)
class CopyMemory(Sampled):
    """Ten symbols out of eight kinds, ``lag`` blanks, then the ten symbols in their order.

    From Hochreiter and Schmidhuber (1997). Inputs are one-hot, ``(lag + 20, N, 10)``: class 0
    is the blank, 1 to 8 the symbols, 9 the cue. Targets are classes, ``(N, steps answered)``.

    Attributes:
        lag: T, the steps between the last symbol and the first answer.
        form: ``"last"``: the cue is shown at each of the last ten steps, and only these are
            answered, as in Gu et al. (2020); ``"every"``: it is shown once, at the last of
            the lag's steps, and every step is answered, the blank before the last ten, as in
            Arjovsky, Shah and Bengio (2016).
        validation_size: number of validation sequences.
        test_size: number of test sequences.
        train_size: number of training sequences; ``None``: no sequence is seen twice.
    """

    measure: ClassVar[str] = "cross-entropy"
    baseline_name: ClassVar[str] = "memoryless"

    lag: int
    form: Literal["last", "every"] = "last"
    validation_size: int = 1000
    test_size: int = 2000
    train_size: int | None = None

    def __post_init__(self) -> None:
        check_positive(self, "lag", "validation_size", "test_size", "train_size")

    @property
    def name(self) -> str:
        return f"copy memory, lag {self.lag}" + (", all steps" if self.form == "every" else "")

    @property
    def key(self) -> tuple[str | int, ...]:
        return "copy-memory", self.lag, self.form

    @property
    def input_size(self) -> int:
        return SYMBOLS + 2

    @property
    def output_size(self) -> int:
        """The number of target classes: the symbols and the blank."""
        return SYMBOLS + 1

    @property
    def longest(self) -> int:
        return self.lag + 2 * MEMORY

    @property
    def answers(self) -> Answers:
        return MEMORY if self.form == "last" else "every"

    @property
    def baseline(self) -> float:
        """Cross-entropy, in nats per answered step, of knowing when but not what to answer."""
        share = MEMORY / self.longest if self.form == "every" else 1.0
        return share * math.log(SYMBOLS)

    @property
    def threshold(self) -> float:
        return self.baseline / 2

    def draw(self, generator: torch.Generator, count: int) -> Batch:
        symbols = torch.randint(1, SYMBOLS + 1, (MEMORY, count), generator=generator)
        classes = torch.zeros(self.longest, count, dtype=torch.long)
        classes[:MEMORY] = symbols
        if self.form == "last":
            classes[-MEMORY:] = SYMBOLS + 1
            target = symbols
        else:
            classes[-MEMORY - 1] = SYMBOLS + 1
            target = torch.zeros_like(classes)
            target[-MEMORY:] = symbols
        inputs = functional.one_hot(classes, self.input_size).float()
        return Batch(inputs, target.T.contiguous())

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Mean cross-entropy of scores ``(N, K, 9)`` for classes ``(N, K)``, in nats.

        Raises:
            ValueError: the prediction has another shape.
        """
        return cross_entropy(prediction, target, self.output_size)
