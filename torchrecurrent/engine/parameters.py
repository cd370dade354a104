"""Parameters as the kernels want them, and the gradients that they get back."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from .plan import Plan
from .threads import share

__all__ = ["add_product", "dense", "pack", "vectors"]

Weights = Mapping[str, Tensor]


class _Gradient(ctypes.Structure):
    """``gradient_t`` of gemm.h."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("rows", "columns", "units", "lda", "ldb", "ldc")),
        *((name, ctypes.c_void_p) for name in ("a", "b", "c", "work")),
    )


def dense(plan: Plan, weights: Weights) -> Iterator[tuple[str, Tensor, int]]:
    """The kernels that the loop multiplies with: name in slots, rows, blocks on the diagonal."""
    for k, each in enumerate(plan.products):
        rows = plan.units(plan.columns[name] for name in each.columns)
        yield str(k), weights[each.weight][each.start : each.start + rows], each.heads
    for one in plan.maps:
        rows = plan.units(plan.mapped[name] for name in one.names)
        yield one.name, weights[one.weight][one.start : one.start + rows], one.heads


def pack(weight: Tensor, heads: int, panel: int, transposed: bool = False) -> Tensor:
    """A kernel of units x inner as the panels that gemm.h reads, block by block."""
    blocks = weight.view(heads, -1, weight.size(1))
    if transposed:
        blocks = blocks.transpose(1, 2)
    units = blocks.size(1)
    panels = -(-units // panel)
    if panels * panel != units:
        blocks = functional.pad(blocks, (0, 0, 0, panels * panel - units))
    panelled: Tensor = blocks.unflatten(1, (panels, panel))
    return panelled.transpose(2, 3).contiguous()


def vectors(plan: Plan, weights: Weights) -> dict[str, Tensor]:
    """The numbers for each unit; biases that are always added are added here."""
    found: dict[str, Tensor] = {}
    for leaf, vector in plan.vectors.items():
        width = plan.widths[plan.node_widths[plan.graph.leaf("v", leaf)]]
        if vector.scalar:
            found[f"v.{leaf}"] = weights[leaf].expand(width).contiguous()
            continue
        first, *rest = (weights[name][start : start + width] for name, start in vector.sources)
        for other in rest:
            first = first + other
        found[f"v.{leaf}"] = first
    return found


def add_product(library: Any, a: Tensor, b: Tensor, total: Tensor) -> None:
    """Add a' b to ``total``, its rows shared among threads."""
    rows, units, columns = a.size(0), a.size(1), b.size(1)
    count = max(1, min(torch.get_num_threads(), rows * units * columns >> 21))
    work = a.new_empty(count, library.gradient_work(ctypes.c_int64(columns)))
    strides = (tensor.stride(0) for tensor in (a, b, total))
    addresses = (tensor.data_ptr() for tensor in (a, b, total, work))
    share(library.gradient, _Gradient(rows, columns, units, *strides, *addresses), count)
