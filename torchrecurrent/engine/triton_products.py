"""Products of a few rows with dense or block-diagonal kernels, by torch."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["blocks_of", "multiply"]


def blocks_of(kernel: Tensor, heads: int) -> Tensor:
    """The blocks on the diagonal of a kernel: ``(heads, rows / heads, columns)``."""
    return kernel.view(heads, -1, kernel.size(1))


def multiply(a: Tensor, blocks: Tensor, into: Tensor, *, adds: bool) -> None:
    """Write, or add, the rows of ``a`` times a block-diagonal matrix to ``into``.

    Args:
        a: ``(rows, heads * inner)``, its rows any number of elements apart.
        blocks: ``(heads, inner, outer)``.
        into: ``(rows, heads * outer)``; written in place.
        adds: to what is there already.
    """
    heads = blocks.size(0)
    if heads == 1:
        if adds:
            torch.addmm(into, a, blocks[0], out=into)
        else:
            torch.mm(a, blocks[0], out=into)
        return
    parts = a.unflatten(1, (heads, -1)).transpose(0, 1)
    results = into.unflatten(1, (heads, -1)).transpose(0, 1)
    if adds:
        torch.baddbmm(results, parts, blocks, out=results)
    else:
        torch.bmm(parts, blocks, out=results)
