"""Binary addition: read two numbers bit by bit, and answer the bit of their sum at each step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from ..running.scores import check_shapes
from ..running.streams import stream
from .task import Answers, Batch, Batches, Task, check_positive, passes

__all__ = ["BinaryAddition"]

SHORTEST = 3
#: Up to this length the training data contain all pairs, and nothing can be held out.
EXHAUSTIVE = 10
#: Beyond it this share of the pairs is never trained on.
HELD_OUT = 1 / 16


@dataclass(frozen=True)
class BinaryAddition(Task):
    """Two numbers with L bits in total, 1 to L - 1 bits each; the target is their sum.

    The benchmark of niklexical/brc_pytorch. Inputs ``(L + 1, N, 2)``, targets
    ``(N, L + 1, 1)``, bits from the lowest, padded with 0. Trained on short pairs, tested on
    pairs up to three times as long. The score is the share of sums that are right in every bit.
    For L > 10, a sixteenth of the pairs, by a hash of their bits, is kept for the tests.

    Attributes:
        train_to: the largest L trained on, from 3.
        test_to: the largest L tested, and the one that validation and test score.
        curriculum: as published: for each L in turn ``train_size`` pairs, ``epochs`` times; then
            from the start again. If false, L and its pairs are drawn anew for each batch.
        train_size: pairs of each L of the curriculum.
        epochs: passes over them.
        validation_size: number of validation pairs.
        test_size: number of test pairs of each L.
    """

    measure: ClassVar[str] = "exact match"
    higher_is_better: ClassVar[bool] = True
    baseline_name: ClassVar[str] = "any fixed answer"
    series_name: ClassVar[str] = "L, bits of both numbers together"

    train_to: int = 20
    test_to: int = 60
    curriculum: bool = False
    train_size: int = 10_000
    epochs: int = 15
    validation_size: int = 1000
    test_size: int = 1000

    def __post_init__(self) -> None:
        for field in ("train_to", "test_to"):
            if getattr(self, field) < SHORTEST:
                found = getattr(self, field)
                raise ValueError(f"{field}: expected at least {SHORTEST}, got {found}")
        check_positive(self, "train_size", "epochs", "validation_size", "test_size")

    @property
    def name(self) -> str:
        how = "curriculum" if self.curriculum else "random lengths"
        return f"binary addition, {how} to {self.train_to}, L = {self.test_to}"

    @property
    def input_size(self) -> int:
        return 2

    @property
    def output_size(self) -> int:
        return 1

    @property
    def longest(self) -> int:
        return self.train_to + 1

    @property
    def answers(self) -> Answers:
        return "every"

    @property
    def baseline(self) -> float:
        """About 0; the share of bits, which would start well above a half, is not reported."""
        return 0.0

    @property
    def threshold(self) -> float:
        return 0.9

    def training(self, seed: int, batch_size: int) -> Batches:
        """Yield batches without end; all pairs of a batch have the same L."""
        generator = stream("binary-addition", "training", seed)
        return Batches(generator, lambda g: self._lengths(g, batch_size))

    def _lengths(self, generator: torch.Generator, batch_size: int) -> Iterator[Batch]:
        if not self.curriculum:
            length = int(torch.randint(SHORTEST, self.train_to + 1, (), generator=generator))
            yield pairs(generator, length, batch_size, held_out=False)
            return
        for length in range(SHORTEST, self.train_to + 1):
            fixed = pairs(generator, length, self.train_size, held_out=False)
            batches = passes(fixed, batch_size, generator)
            for _ in range(self.epochs * -(-self.train_size // batch_size)):
                yield next(batches)

    def typical(self, seed: int, batch_size: int) -> Batch:
        """Return a batch of the mean length."""
        generator = stream("binary-addition", "typical", seed)
        return pairs(generator, (SHORTEST + self.train_to) // 2, batch_size, held_out=False)

    def validation(self, seed: int) -> Batch:
        """``validation_size`` pairs of length ``test_to``."""
        generator = stream("binary-addition", "validation", seed)
        return pairs(generator, self.test_to, self.validation_size, held_out=True)

    def test(self, seed: int) -> Batch:
        """``test_size`` pairs of length ``test_to``."""
        return self._test(self.test_to, seed)

    def series(self, seed: int) -> dict[int, Batch]:
        """``test_size`` pairs of each length from 3."""
        return {n: self._test(n, seed) for n in range(SHORTEST, self.test_to + 1)}

    def series_kind(self, at: int) -> str:
        """Up to L = 10 nothing can be held out: these test pairs occur in training."""
        if at > self.train_to:
            return "longer"
        return "exhaustive" if at <= EXHAUSTIVE else "held out"

    def _test(self, length: int, seed: int) -> Batch:
        generator = stream("binary-addition", "test", length, seed)
        return pairs(generator, length, self.test_size, held_out=True)

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Mean binary cross-entropy of two tensors ``(N, L + 1, 1)``.

        Raises:
            ValueError: the prediction has another shape.
        """
        check_shapes("prediction", prediction, tuple(target.shape))
        return functional.binary_cross_entropy_with_logits(prediction, target)

    def score(self, prediction: Tensor, target: Tensor) -> float:
        """Return the share of sums right in every bit; NaN if a prediction is not finite."""
        check_shapes("prediction", prediction, tuple(target.shape))
        if not prediction.isfinite().all():
            return float("nan")
        right = ((prediction > 0) == (target > 0.5)).flatten(1).all(1)
        return right.double().mean().item()


def pairs(generator: torch.Generator, length: int, count: int, *, held_out: bool) -> Batch:
    """Return pairs with ``length`` bits in total and their sums, either held out or not."""
    found: list[Tensor] = []
    wanted = count
    while wanted > 0:
        bits = _draw(generator, length, count)
        if length > EXHAUSTIVE:
            bits = bits[:, _is_held_out(bits) == held_out]
        found.append(bits[:, :wanted])
        wanted -= found[-1].size(1)
    bits = torch.cat(found, 1)
    return Batch(bits.float(), _sum(bits).float())


def _draw(generator: torch.Generator, length: int, count: int) -> Tensor:
    """Return ``(length + 1, count, 2)`` bits; the highest bit of each number is 1."""
    first = torch.randint(1, length, (count,), generator=generator)
    widths = torch.stack([first, length - first], 1)
    bits = torch.randint(0, 2, (length + 1, count, 2), generator=generator)
    place = torch.arange(length + 1)[:, None, None]
    return torch.where(place < widths - 1, bits, (place == widths - 1).long())


def _sum(bits: Tensor) -> Tensor:
    """Return the sums ``(N, L + 1, 1)`` of pairs ``(L + 1, N, 2)``, by carrying: L may be large."""
    carry = torch.zeros_like(bits[0, :, 0])
    digits = []
    for place in bits:
        total = place.sum(1) + carry
        digits.append(total % 2)
        carry = total // 2
    return torch.stack(digits, 1)[:, :, None]


def _is_held_out(bits: Tensor) -> Tensor:
    """Whether each pair is held out, ``(N,)``, by a hash of its bits: the same at every draw."""
    words = torch.randint(
        -(2**62), 2**62, (bits.size(0), 1, 2), generator=stream("binary-addition", "hash")
    )
    mixed = (bits * words).sum((0, 2))  # modulo 2 ** 64
    return (mixed >> 40) % int(1 / HELD_OUT) == 0
