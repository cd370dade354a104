"""What a study asks of a task."""

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

#: Which steps of a sequence are answered: its last, every one, or that many at its end.
Answers: TypeAlias = Literal["last", "every"] | int


@dataclass(frozen=True)
class Batch:
    """Sequences and what is to be told of each.

    Attributes:
        inputs: ``(T, N, I)``, or packed where the lengths differ.
        target: one row for each sequence, ``(N, ...)``.
        continued: these sequences go on where those of the batch before ended.
    """

    inputs: Tensor | PackedSequence
    target: Tensor
    continued: bool = False

    def __len__(self) -> int:
        return len(self.target)

    def select(self, wanted: slice | Tensor) -> Batch:
        """Some of the sequences, by a slice or by their indices ``(M,)``."""
        if isinstance(self.inputs, PackedSequence):
            rows = unpack_sequence(self.inputs)
            kept = torch.arange(len(rows))[wanted].tolist()
            packed = pack_sequence([rows[k] for k in kept], enforce_sorted=False)
            return replace(self, inputs=packed, target=self.target[wanted])
        return replace(self, inputs=self.inputs[:, wanted], target=self.target[wanted])

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        inputs = self.inputs.to(device)  # type: ignore[arg-type] # a packed one takes it too
        return replace(self, inputs=inputs, target=self.target.to(device))


class Batches(Iterator[Batch]):
    """Training batches without end, which can be left and taken up again where they were.

    Args:
        generator: what ``epoch`` draws from.
        epoch: batches from a generator; called again whenever they are used up.
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
        """The place: the generator's state at the start of the epoch, and the batches since."""
        return {"start": self._start, "taken": self._taken}

    def resume(self, start: Tensor, taken: int) -> None:
        """Go to a place that :meth:`state` gave."""
        self._generator.set_state(start)
        self._begin()
        for _ in range(taken):
            next(self)


def check_batch_size(batch_size: int, count: int) -> None:
    """Refuse batches larger than a training set of ``count`` sequences.

    Raises:
        ValueError: there are more, or none.
    """
    if not 0 < batch_size <= count:
        raise ValueError(
            f"batch_size: expected 1 to {count}, the training set's size, got {batch_size}"
        )


def passes(sequences: Batch, batch_size: int, generator: torch.Generator) -> Batches:
    """Batches of a fixed set, each pass over it in an order of its own.

    Raises:
        ValueError: the batch is larger than the set.
    """
    check_batch_size(batch_size, len(sequences))

    def epoch(generator: torch.Generator) -> Iterator[Batch]:
        order = torch.randperm(len(sequences), generator=generator)
        return (sequences.select(indices) for indices in torch.split(order, batch_size))

    return Batches(generator, epoch)


class Task(ABC):
    """A data set or a generator of one, its loss and its score.

    Everything random depends on the seed and the task alone, never on the cell: the cells
    are compared on the same data.
    """

    #: What :meth:`score` returns, such as ``"MSE"``.
    measure: ClassVar[str]
    #: Such measures are shares, and are shown in per cent.
    higher_is_better: ClassVar[bool] = False
    #: What gives :attr:`baseline`.
    baseline_name: ClassVar[str]
    #: In what the test sets of :meth:`series` differ.
    series_name: ClassVar[str] = ""

    @property
    @abstractmethod
    def name(self) -> str:
        """What the task and its setting are called, short enough for a table."""

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
        """A run whose score is beyond it has solved the task; ``None``: there is no such point."""

    @property
    def answers(self) -> Answers:
        """Predictions are ``(N, O)`` after the last step, else ``(N, steps answered, O)``."""
        return "last"

    @abstractmethod
    def training(self, seed: int, batch_size: int) -> Batches:
        """Training batches without end."""

    def typical(self, seed: int, batch_size: int) -> Batch:
        """A training batch that takes about as long as they do on average."""
        return next(self.training(seed, batch_size))

    @abstractmethod
    def validation(self, seed: int) -> Batch:
        """For curves and for choices."""

    @abstractmethod
    def test(self, seed: int) -> Batch:
        """For the one score at the end."""

    def series(self, seed: int) -> Mapping[int, Batch]:
        """More test sets, by what they differ in, such as their length; mostly there are none."""
        return {}

    def series_kind(self, at: int) -> str:
        """What one of these is beside the training data, such as ``"longer"``."""
        return ""

    @abstractmethod
    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """What training makes small, a scalar: a mean over sequences."""

    def score(self, prediction: Tensor, target: Tensor) -> float:
        """What is reported, a mean over sequences: the loss, unless a task says otherwise."""
        return self.loss(prediction, target).item()

    def solved(self, score: float) -> bool:
        """Whether a score is beyond the threshold."""
        if self.threshold is None:
            return False
        return score >= self.threshold if self.higher_is_better else score < self.threshold


def check_positive(task: Task, *fields: str) -> None:
    """Refuse fields below 1; ``None`` passes.

    Raises:
        ValueError: with the name of the first.
    """
    for field in fields:
        value = getattr(task, field)
        if value is not None and value < 1:
            raise ValueError(f"{field}: expected at least 1, got {value}")
