"""Where a call has the time since the step before: in a last column of its input.

So all that cuts, sorts, packs or keeps the rows of an input does it to these numbers too, and a
kernel finds both behind one pointer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["has_gaps", "join_gaps", "part_gaps"]


def join_gaps(input: Tensor, gaps: Tensor) -> Tensor:
    """Return the input ``(*, I + 1)`` of a call with times between steps.

    Args:
        input: ``(*, I)``.
        gaps: ``(*)``.
    """
    return torch.cat([input, gaps.unsqueeze(-1).to(input.dtype)], -1)


def has_gaps(cell: Any, data: Tensor) -> bool:
    """Whether the input of a cell has them."""
    signature = getattr(cell, "signature", None)
    if signature is None or signature.gap is None:
        return False
    return bool(data.size(-1) > cell.input_size)


def part_gaps(cell: Any, data: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return the input itself, and the time since the step before ``(*, 1)`` if it is given."""
    if not has_gaps(cell, data):
        return data, ()
    return data[..., :-1], (data[..., -1:],)
