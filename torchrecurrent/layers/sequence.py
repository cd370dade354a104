"""Two forms for all inputs of a layer: a box of time steps, or their rows without padding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

__all__ = ["Steps", "checked_lengths", "side_by_side"]


@dataclass(frozen=True)
class Steps:
    """The time steps of a batch of sequences.

    ``data`` is ``(T, N, width)`` where all are equally long. Else it is ``(sum(sizes), width)``,
    longest sequence first: ``sizes[t]`` sequences have a step t, whose rows follow those of t - 1.
    Sequences without any step come last; they have no rows.

    In an export to ONNX sequences of different lengths stay padded, and ``lengths`` has how many
    steps of each count.
    """

    data: Tensor
    sizes: Tensor | None = None
    #: The caller's index of each sequence, and the reverse; ``None``: unchanged.
    sorted_indices: Tensor | None = None
    unsorted_indices: Tensor | None = None
    #: How many sequences have no step.
    empty: int = 0
    lengths: Tensor | None = None

    @classmethod
    def of_packed(cls, packed: PackedSequence) -> Steps:
        return cls(packed.data, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices)

    @classmethod
    def of_padded(cls, input: Tensor, lengths: Tensor | Sequence[int] | None) -> Steps:
        """From ``(T, N, I)``; ``lengths`` gives each sequence's number of steps."""
        if lengths is None:
            return cls(input)
        counts = checked_lengths(lengths, input.size(0), input.size(1))
        empty = int((counts == 0).sum())
        if not empty:
            return cls.of_packed(pack_padded_sequence(input, counts, enforce_sorted=False))
        order = torch.argsort(counts, descending=True)
        there, order = order[: len(order) - empty], order.to(input.device)
        if len(there):
            packed = pack_padded_sequence(input[:, order[: len(there)]], counts[there])
            data, sizes = packed.data, packed.batch_sizes
        else:
            data, sizes = input[0, :0], counts[:0]
        return cls(data, sizes, order, torch.argsort(order), empty)

    @classmethod
    def of_masked(cls, input: Tensor, lengths: Tensor | Sequence[int]) -> Steps:
        """Return padded sequences without a look at the lengths, unknown in an export."""
        counts = _integers(lengths, input.size(1), input.device)
        return cls(input, lengths=counts)

    def with_data(self, data: Tensor) -> Steps:
        """The same sequences with another value at each step."""
        other = object.__new__(type(self))  # dataclasses.replace takes as long as some kernels
        other.__dict__.update(self.__dict__, data=data)
        return other

    @property
    def flags(self) -> Mapping[str, Tensor]:
        """What is said of single steps to whatever runs a cell, by the names of its arguments."""
        return {}

    def to_packed(self) -> PackedSequence:
        return PackedSequence(self.data, self.sizes, self.sorted_indices, self.unsorted_indices)

    def to_padded(self, total_length: int) -> Tensor:
        """``(T, N, width)`` in the caller's order, zero after the end of a sequence."""
        if self.sizes is None:
            return self.data
        # The gradient of torch's pad_packed_sequence is a copy of all of it for each step.
        step, sequence, _, _ = self._rows(self.sizes)
        N, width = self.batch_size, self.data.shape[1:]
        column = sequence if self.sorted_indices is None else self.sorted_indices[sequence]
        padded = self.data.new_zeros(total_length * N, *width)
        return padded.index_copy(0, step * N + column, self.data).view(total_length, N, *width)

    def __len__(self) -> int:
        """The number of steps of the longest sequence."""
        return len(self.data if self.sizes is None else self.sizes)

    @property
    def running(self) -> int:
        """How many sequences have a first step."""
        if self.sizes is None:
            return self.data.size(1)
        return int(self.sizes[0]) if len(self.sizes) else 0

    @property
    def batch_size(self) -> int:
        return self.running + self.empty

    def _rows(self, sizes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return rows' steps and sequences, sequences' lengths, and the first rows of steps."""
        sizes = sizes.to(self.data.device)
        offsets = sizes.cumsum(0) - sizes
        step = torch.repeat_interleave(torch.arange(len(sizes), device=sizes.device), sizes)
        sequence = torch.arange(len(step), device=sizes.device) - offsets[step]
        sequences = torch.arange(self.running, device=sizes.device)
        lengths = (sizes.unsqueeze(1) > sequences).sum(0)
        return step, sequence, lengths, offsets

    def _rows_at(self, steps: Tensor) -> Tensor:
        """The value of each sequence at steps ``(*, N)`` of its own."""
        return self.data.gather(0, steps.unsqueeze(-1).expand(-1, -1, self.data.size(-1)))

    def reversed(self) -> Steps:
        """Return each sequence backwards, its own last step first; twice, it changes nothing."""
        if self.lengths is not None:
            step = torch.arange(self.data.size(0), device=self.data.device).unsqueeze(1)
            source = torch.where(step < self.lengths, self.lengths - 1 - step, step)
            return self.with_data(self._rows_at(source))
        if self.sizes is None:
            return self.with_data(self.data.flip(0))
        step, sequence, lengths, offsets = self._rows(self.sizes)
        source = offsets[lengths[sequence] - 1 - step] + sequence
        return self.with_data(self.data.index_select(0, source))

    def delayed(self, first: Tensor) -> Tensor:
        """The value of the step before, at each step; at the first steps ``first``, ``(N, *)``."""
        if self.sizes is None:
            return torch.cat([first.unsqueeze(0), self.data[:-1]])
        step, sequence, _, offsets = self._rows(self.sizes)
        later = slice(self.running, None)
        return torch.cat([first, self.data[offsets[step[later] - 1] + sequence[later]]])

    def last(self) -> Tensor:
        """The value at each sequence's own last step, ``(N, width)``; zero where it has none."""
        if self.lengths is not None:
            found = self._rows_at((self.lengths - 1).clamp(min=0).unsqueeze(0)).squeeze(0)
            return found * (self.lengths > 0).unsqueeze(-1)
        if self.sizes is None:
            return self.data[-1]
        _, _, lengths, offsets = self._rows(self.sizes)
        sequences = torch.arange(self.running, device=self.data.device)
        found = self.data[offsets[lengths - 1] + sequences]
        return self._unsorted(functional.pad(found, (0, 0, 0, self.empty)) if self.empty else found)

    @property
    def sequences(self) -> int:
        """How many sequences the caller has."""
        return self.batch_size

    def begin(self, rows: Tensor, initial: Tensor | None) -> Tensor:
        """A state as each sequence begins with it, ``(N, *)``, put in our order.

        Args:
            rows: those of the caller.
            initial: ``(1, *)``, that of a sequence that begins anew; ``None`` if none does.
        """
        return rows if self.sorted_indices is None else rows[self.sorted_indices]

    def spread(self, rows: Tensor) -> Tensor:
        """A value of each of the caller's sequences ``(N, *)``, at each of its steps.

        It can be multiplied with ``data``.
        """
        if self.sizes is None:
            return rows
        ordered = rows if self.sorted_indices is None else rows[self.sorted_indices]
        return ordered[self._rows(self.sizes)[1]]

    def end(self, rows: Tensor) -> Tensor:
        """A state at the end of each sequence ``(N, *)``, in our order, put in the caller's."""
        return self._unsorted(rows)

    def _unsorted(self, rows: Tensor) -> Tensor:
        return rows if self.unsorted_indices is None else rows[self.unsorted_indices]

    def padded(self, data: Tensor, total_length: int, backward: bool = False) -> Tensor:
        """The outputs of a direction, in the order of time, as :meth:`to_padded`."""
        return self.with_data(data).to_padded(total_length)


def _integers(lengths: Tensor | Sequence[int], batch: int, device: torch.device | str) -> Tensor:
    counts = torch.as_tensor(lengths, device=device)
    if counts.is_floating_point() or counts.dtype == torch.bool:
        raise TypeError(f"lengths should hold integers, got: {counts.dtype}")
    if counts.shape != (batch,):
        raise ValueError(
            f"lengths: expected one for each of the {batch} sequences, "
            f"got shape {tuple(counts.shape)}"
        )
    return counts.to(torch.int64)


def checked_lengths(lengths: Tensor | Sequence[int], steps: int, batch: int) -> Tensor:
    counts = _integers(lengths, batch, "cpu")
    if batch and not (int(counts.min()) >= 0 and int(counts.max()) <= steps):
        raise ValueError(
            f"lengths: expected numbers from 0 to {steps}, the padded length, "
            f"got {int(counts.min())} to {int(counts.max())}"
        )
    return counts


def side_by_side(parts: Sequence[Tensor]) -> Tensor:
    """The directions' outputs as one; a single one is not copied."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts), -1)
