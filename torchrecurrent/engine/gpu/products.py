"""Products of a few rows with dense or block-diagonal kernels, by torch."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ..program.plan import Map

__all__ = ["apply_map", "blocks_of", "multiply"]


def blocks_of(kernel: Tensor, heads: int) -> Tensor:
    """The blocks on the diagonal of a kernel: ``(heads, rows / heads, columns)``."""
    return kernel.view(heads, -1, kernel.size(1))


def apply_map(
    each: Map, tensors: Mapping[str, Tensor], a: Tensor, into: Tensor, *, transposed: bool
) -> None:
    """Write what a map makes of the rows of ``a``, or its transpose, to ``into``."""
    if each.weight is None:
        into.copy_(a.mean(1, keepdim=True).expand_as(into))
        return
    blocks = blocks_of(tensors[f"W.map.{each.name}"], each.heads)
    multiply(a, blocks if transposed else blocks.transpose(1, 2), into, adds=False)


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
