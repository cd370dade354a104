"""The sequences of a call, and where their rows lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

__all__ = ["Batch"]


@dataclass(frozen=True)
class Batch:
    """The sequences of a call: ``(T, N, I)`` without sizes, or rows as in PackedSequence."""

    data: Tensor
    size: int
    #: The number of sequences that run at each step.
    sizes: Tensor | None = None
    #: The masks that were drawn for them, by the names of their buffers.
    noise: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        return self.data.size(0) if self.sizes is None else self.sizes.size(0)

    @cached_property
    def rows(self) -> int:
        return self.data.numel() // self.data.size(-1)

    def check_sizes(self) -> None:
        """Raise RuntimeError unless the sizes say what the rows of the data are."""
        sizes = self.sizes
        if sizes is None:
            return
        if sizes.dtype != torch.int64 or sizes.device.type != "cpu" or sizes.dim() != 1:
            raise RuntimeError(
                "batch_sizes: expected a vector of int64 on the CPU, got "
                f"{sizes.dim()}-D {sizes.dtype} on {sizes.device}"
            )
        counts = sizes.tolist()
        falls = all(a >= b for a, b in pairwise(counts))
        if not (counts and counts[0] == self.size and counts[-1] >= 1 and falls):
            raise RuntimeError(
                f"batch_sizes: expected numbers that fall from {self.size} to at least 1, "
                f"got {counts}"
            )
        if sum(counts) != self.rows:
            raise RuntimeError(f"batch_sizes: expected a sum of {self.rows} rows, got {counts}")

    def offsets(self) -> Tensor | None:
        return None if self.sizes is None else self.sizes.cumsum(0) - self.sizes

    @cached_property
    def table(self) -> Tensor | None:
        """The sizes and the offsets, on the device of the data; ``None``: all are equally long."""
        offsets = self.offsets()
        if self.sizes is None or offsets is None:
            return None
        return self._beside(torch.stack((self.sizes, offsets)))

    @cached_property
    def last_rows(self) -> Any:
        """Each sequence's last row in a tensor with a row for every step, longest first."""
        offsets = self.offsets()
        if self.sizes is None or offsets is None:
            return slice(self.rows - self.size, self.rows)
        lengths = (self.sizes.unsqueeze(1) > torch.arange(self.size)).sum(0)
        return self._beside(offsets[lengths - 1] + torch.arange(self.size))

    @cached_property
    def previous_rows(self) -> Any:
        """For each row after the first step's, the row of its sequence's step before."""
        offsets = self.offsets()
        if self.sizes is None or offsets is None:
            return slice(0, self.rows - self.size)
        steps = torch.repeat_interleave(torch.arange(self.steps), self.sizes)[self.size :]
        return self._beside(
            torch.arange(self.size, self.rows) - offsets[steps] + offsets[steps - 1]
        )

    @cached_property
    def sequence_rows(self) -> Tensor:
        """The sequence of each row."""
        offsets = self.offsets()
        if self.sizes is None or offsets is None:
            return torch.arange(self.size, device=self.data.device).repeat(self.steps)
        return self._beside(torch.arange(self.rows) - torch.repeat_interleave(offsets, self.sizes))

    def _beside(self, numbers: Tensor) -> Tensor:
        """Return numbers of the CPU on the device of the data, without waiting for it.

        A copy from memory that is not pinned waits until the GPU has done all its work. One from
        pinned memory can't be captured in a CUDA graph, which would read it again when it is
        replayed, and then other numbers are there.

        Raises:
            RuntimeError: a CUDA graph is being captured.
        """
        if not self.data.is_cuda:
            return numbers
        if torch.cuda.is_current_stream_capturing():
            raise RuntimeError(
                "sequences of different lengths can't run while a CUDA graph is captured; pad "
                "them, or choose torchrecurrent.backend('reference')"
            )
        return numbers.pin_memory().to(self.data.device, non_blocking=True)
