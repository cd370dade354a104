"""What a study asks of a task."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

__all__ = ["Batch", "Task", "check_shapes"]


@dataclass(frozen=True)
class Batch:
    """Sequences and what is to be told of each.

    Attributes:
        inputs: ``(T, N, I)``, or packed where the lengths differ.
        target: one row for each sequence, ``(N, ...)``.
    """

    inputs: Tensor | PackedSequence
    target: Tensor


class Task(Protocol):
    """A data set or a generator of one, its loss and its score.

    Everything random depends on the seed and the task alone, never on the cell: the cells
    are compared on the same data.
    """

    @property
    def name(self) -> str:
        """What the task and its setting are called, short enough for a table."""

    @property
    def input_size(self) -> int: ...

    @property
    def output_size(self) -> int: ...

    @property
    def length(self) -> int:
        """Time steps of a sequence, the longest where they differ; for cost estimates."""

    @property
    def measure(self) -> str:
        """What :meth:`score` returns, such as ``"MSE"``."""

    @property
    def higher_is_better(self) -> bool: ...

    @property
    def baseline(self) -> float:
        """The score of the best answer that does not look at the input."""

    @property
    def baseline_name(self) -> str: ...

    def training(self, seed: int, batch_size: int) -> Iterator[Batch]:
        """Training batches without end."""

    def validation(self, seed: int) -> Batch:
        """For curves and for choices."""

    def test(self, seed: int) -> Batch:
        """For the one score at the end."""

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """What training makes small, a scalar."""

    def score(self, prediction: Tensor, target: Tensor) -> float:
        """What is reported."""


def check_shapes(what: str, given: Tensor, expected: tuple[int, ...]) -> None:
    """Refuse a tensor that a loss would silently broadcast.

    Raises:
        ValueError: another shape than expected.
    """
    if tuple(given.shape) != expected:
        raise ValueError(f"{what}: expected shape {expected}, got {tuple(given.shape)}")
