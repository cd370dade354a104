"""One form for all inputs of a layer: time steps one after the other, longest sequence first.

Padded, packed and unbatched inputs become the layout of
:class:`torch.nn.utils.rnn.PackedSequence`, so that a loop never sees padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

__all__ = ["Steps"]


@dataclass(frozen=True)
class Steps:
    """The time steps of a batch of sequences.

    ``data`` is ``(sum(batch_sizes), width)``; row ``offsets[t] + n`` is step t of sequence n,
    in the order in which the lengths fall.
    """

    data: Tensor
    batch_sizes: list[int]
    #: The caller's index of each sequence, and the reverse; ``None``: unchanged.
    sorted_indices: Tensor | None = None
    unsorted_indices: Tensor | None = None

    @classmethod
    def of_packed(cls, packed: PackedSequence) -> Steps:
        return cls(
            packed.data,
            packed.batch_sizes.tolist(),
            packed.sorted_indices,
            packed.unsorted_indices,
        )

    @classmethod
    def of_padded(cls, input: Tensor, lengths: Tensor | Sequence[int] | None) -> Steps:
        """From ``(T, N, I)``; ``lengths`` gives each sequence's number of steps."""
        steps, batch, width = input.shape
        if lengths is None:
            return cls(input.reshape(steps * batch, width), [batch] * steps)
        counts = _checked_lengths(lengths, steps, batch)
        return cls.of_packed(pack_padded_sequence(input, counts, enforce_sorted=False))

    def with_data(self, data: Tensor) -> Steps:
        """The same sequences with another value at each step."""
        return replace(self, data=data)

    def to_packed(self) -> PackedSequence:
        return PackedSequence(
            self.data,
            torch.tensor(self.batch_sizes),
            self.sorted_indices,
            self.unsorted_indices,
        )

    def to_padded(self, total_length: int) -> Tensor:
        """``(T, N, width)`` in the caller's order, zero after the end of a sequence."""
        if self.is_rectangular and self.unsorted_indices is None:
            return self._rectangle()
        return pad_packed_sequence(self.to_packed(), total_length=total_length)[0]

    @property
    def batch_size(self) -> int:
        return self.batch_sizes[0]

    @property
    def is_rectangular(self) -> bool:
        """Whether all sequences have the same length."""
        return self.batch_sizes[0] == self.batch_sizes[-1]

    def _rectangle(self) -> Tensor:
        return self.data.view(len(self.batch_sizes), self.batch_size, self.data.size(-1))

    @cached_property
    def _rows(self) -> tuple[Tensor, Tensor, Tensor]:
        """Of each row its step and sequence; of each sequence its length."""
        device = self.data.device
        sizes = torch.tensor(self.batch_sizes, device=device)
        step = torch.repeat_interleave(torch.arange(len(sizes), device=device), sizes)
        sequence = torch.arange(len(step), device=device) - self._offsets[step]
        lengths = (sizes.unsqueeze(1) > torch.arange(self.batch_size, device=device)).sum(0)
        return step, sequence, lengths

    @cached_property
    def _offsets(self) -> Tensor:
        sizes = torch.tensor(self.batch_sizes, device=self.data.device)
        return sizes.cumsum(0) - sizes

    def reversed(self) -> Steps:
        """Each sequence backwards, its own last step first; its own inverse."""
        if self.is_rectangular:
            return self.with_data(self._rectangle().flip(0).flatten(0, 1))
        step, sequence, lengths = self._rows
        source = self._offsets[lengths[sequence] - 1 - step] + sequence
        return self.with_data(self.data[source])

    def last(self) -> Tensor:
        """The value at each sequence's own last step, ``(N, width)``, longest first."""
        if self.is_rectangular:
            return self.data[len(self.data) - self.batch_size :]
        _, _, lengths = self._rows
        sequences = torch.arange(self.batch_size, device=self.data.device)
        return self.data[self._offsets[lengths - 1] + sequences]

    def sort(self, rows: Tensor) -> Tensor:
        """Rows ``(N, *)`` in the caller's order, put in ours."""
        return rows if self.sorted_indices is None else rows[self.sorted_indices]

    def unsort(self, rows: Tensor) -> Tensor:
        """Rows ``(N, *)`` in our order, put in the caller's."""
        return rows if self.unsorted_indices is None else rows[self.unsorted_indices]


def _checked_lengths(lengths: Tensor | Sequence[int], steps: int, batch: int) -> Tensor:
    counts = torch.as_tensor(lengths, device="cpu")
    if counts.is_floating_point() or counts.dtype == torch.bool:
        raise TypeError(f"lengths should hold integers, got: {counts.dtype}")
    if counts.shape != (batch,):
        raise ValueError(
            f"lengths: expected one for each of the {batch} sequences, "
            f"got shape {tuple(counts.shape)}"
        )
    if batch and not (int(counts.min()) >= 1 and int(counts.max()) <= steps):
        raise ValueError(
            f"lengths: expected numbers from 1 to {steps}, the padded length, "
            f"got {int(counts.min())} to {int(counts.max())}"
        )
    return counts.to(torch.int64)
