"""Products of a few rows with dense or block-diagonal kernels, and averages, by torch."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ..program.lower import Multiply, Units

__all__ = ["apply"]


def apply(
    each: Multiply | Units,
    tensors: Mapping[str, Tensor],
    source: Tensor,
    into: Tensor,
    sequences: slice | Tensor | None = None,
) -> None:
    """Carry out a product on rows of what it reads and writes.

    Args:
        each: the product.
        tensors: by slot.
        source: the rows that it reads.
        into: those that it writes.
        sequences: of these rows; ``None``: those of a step, from the first sequence on.
    """
    if isinstance(each, Units):
        into.copy_(each.apply(source))
        return
    kernel = tensors[each.matrix.slot()]
    blocks = kernel.view(each.matrix.heads, -1, kernel.size(1))
    blocks = blocks if each.transposed else blocks.transpose(1, 2)
    if each.factors is None:
        _multiply(source, blocks, into, adds=each.adds)
        return
    rows = slice(len(source)) if sequences is None else sequences
    factors = tensors[each.factors.buffer.name][rows]
    if not each.transposed:
        _multiply(source * factors, blocks, into, adds=each.adds)
        return
    passed = source.new_empty(into.shape)
    _multiply(source, blocks, passed, adds=False)
    passed *= factors
    if each.adds:
        into += passed
    else:
        into.copy_(passed)


def _multiply(a: Tensor, blocks: Tensor, into: Tensor, *, adds: bool) -> None:
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
