"""The interface of a task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_sequence, unpack_sequence

__all__ = [
    "Answers",
    "Batch",
    "Batches",
    "Task",
    "check_batch_size",
    "check_positive",
    "passes",
]

#: The steps of a sequence that are answered: its last, every one, or that many at its end.
Answers: TypeAlias = Literal["last", "every"] | int


@dataclass(frozen=True)
class Batch:
    """Sequences and their targets.

    Attributes:
        inputs: ``(T, N, I)``, or packed where the lengths differ.
        target: one row for each sequence, ``(N, ...)``.
        continued: whether these sequences continue those of the batch before.
    """

    inputs: Tensor | PackedSequence
    target: Tensor
    continued: bool = False

    def __len__(self) -> int:
        return len(self.target)

    def select(self, wanted: slice | Tensor) -> Batch:
        """Return some of the sequences, by a slice or by their indices ``(M,)``."""
        if isinstance(self.inputs, PackedSequence):
            rows = unpack_sequence(self.inputs)
            kept = torch.arange(len(rows))[wanted].tolist()
            packed = pack_sequence([rows[k] for k in kept], enforce_sorted=False)
            return replace(self, inputs=packed, target=self.target[wanted])
        return replace(self, inputs=self.inputs[:, wanted], target=self.target[wanted])

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device."""
        inputs = self.inputs.to(device)  # type: ignore[arg-type] # a packed one takes it too
        return replace(self, inputs=inputs, target=self.target.to(device))


class Batches(Iterator[Batch]):
    """Training batches without end, which can be interrupted and resumed.

    Args:
        generator: the generator that ``epoch`` draws from.
        epoch: makes batches from a generator; called again whenever they are used up.
    """

    def __init__(
        self, generator: torch.Generator, epoch: Callable[[torch.Generator], Iterator[Batch]]
    ) -> None:
        self._generator = generator
        self._epoch = epoch
        self._begin()

    def _begin(self) -> None:
        self._start = self._generator.get_state()
        self._taken = 0
        self._current = self._epoch(self._generator)

    def __next__(self) -> Batch:
        batch = next(self._current, None)
        while batch is None:
            self._begin()
            batch = next(self._current, None)
        self._taken += 1
        return batch

    def state(self) -> dict[str, Tensor | int]:
        """Return the position: the generator's state at the epoch's start and batches since."""
        return {"start": self._start, "taken": self._taken}

    def resume(self, start: Tensor, taken: int) -> None:
        """Go to a position that :meth:`state` returned."""
        self._generator.set_state(start)
        self._begin()
        for _ in range(taken):
            next(self)


def check_batch_size(batch_size: int, count: int) -> None:
    """Check that a batch is at most as large as a training set of ``count`` sequences.

    Raises:
        ValueError: if it is larger, or empty.
    """
    if not 0 < batch_size <= count:
        raise ValueError(
            f"batch_size: expected 1 to {count}, the training set's size, got {batch_size}"
        )


def passes(sequences: Batch, batch_size: int, generator: torch.Generator) -> Batches:
    """Return batches of a fixed set, each pass over it in a new order.

    Raises:
        ValueError: if the batch is larger than the set.
    """
    check_batch_size(batch_size, len(sequences))

    def epoch(generator: torch.Generator) -> Iterator[Batch]:
        order = torch.randperm(len(sequences), generator=generator)
        return (sequences.select(indices) for indices in torch.split(order, batch_size))

    return Batches(generator, epoch)


class Task(ABC):
    """A data set or a generator of one, its loss and its score.

    Everything random depends only on the seed and the task, never on the cell, so that the cells
    are compared on the same data.
    """

    #: The name of the result of :meth:`score`, such as ``"MSE"``.
    measure: ClassVar[str]
    #: Such measures are shares, and are shown in per cent.
    higher_is_better: ClassVar[bool] = False
    #: The answer that gives :attr:`baseline`.
    baseline_name: ClassVar[str]
    #: How the test sets of :meth:`series` differ.
    series_name: ClassVar[str] = ""

    @property
    @abstractmethod
    def name(self) -> str:
        """The name of the task and its setting, short enough for a table."""

    @property
    @abstractmethod
    def input_size(self) -> int: ...

    @property
    @abstractmethod
    def output_size(self) -> int: ...

    @property
    @abstractmethod
    def longest(self) -> int:
        """Time steps of the longest training sequence; for cost estimates."""

    @property
    @abstractmethod
    def baseline(self) -> float:
        """The score of the best answer that does not look at the input."""

    @property
    @abstractmethod
    def threshold(self) -> float | None:
        """The score beyond which a run has solved the task; ``None`` if there is none."""

    @property
    def answers(self) -> Answers:
        """Predictions are ``(N, O)`` after the last step, else ``(N, steps answered, O)``."""
        return "last"

    @abstractmethod
    def training(self, seed: int, batch_size: int) -> Batches:
        """Return training batches without end."""

    def typical(self, seed: int, batch_size: int) -> Batch:
        """Return a training batch that takes about the average time."""
        return next(self.training(seed, batch_size))

    @abstractmethod
    def validation(self, seed: int) -> Batch:
        """Return the data for curves and choices."""

    @abstractmethod
    def test(self, seed: int) -> Batch:
        """Return the data for the score at the end."""

    def series(self, seed: int) -> Mapping[int, Batch]:
        """Return further test sets, by their difference, such as their length; often none."""
        return {}

    def series_kind(self, at: int) -> str:
        """Compare one of these with the training data, in a word such as ``"longer"``."""
        return ""

    @abstractmethod
    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the scalar that training minimises, a mean over sequences."""

    def score(self, prediction: Tensor, target: Tensor) -> float:
        """Return the reported mean over sequences: the loss, unless a task overrides it."""
        return self.loss(prediction, target).item()

    def solved(self, score: float) -> bool:
        """Whether a score is beyond the threshold."""
        if self.threshold is None:
            return False
        return score >= self.threshold if self.higher_is_better else score < self.threshold


def check_positive(task: Task, *fields: str) -> None:
    """Check that fields are at least 1 or ``None``.

    Raises:
        ValueError: names the first that is not.
    """
    for field in fields:
        value = getattr(task, field)
        if value is not None and value < 1:
            raise ValueError(f"{field}: expected at least 1, got {value}")
