"""Gradients of the parameters, from what a kernel's backward pass leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from .batch import Batch
from .parameters import Dense, Parameters
from .plan import Plan

__all__ = ["weight_gradients"]

#: Adds a' b to its third argument.
Add = Callable[[Tensor, Tensor, Tensor], None]


def weight_gradients(
    plan: Plan,
    parameters: Parameters,
    batch: Batch,
    tensors: Mapping[str, Tensor],
    work: Mapping[str, Tensor],
    weights: Mapping[str, Tensor],
    sums: Mapping[str, Tensor],
    add: Add,
    dtype: torch.dtype | None = None,
) -> dict[str, Tensor]:
    """One product over all time steps for each kernel; vectors get what was summed for them.

    Args:
        plan: of the step.
        parameters: where its kernels and vectors lie.
        batch: the sequences.
        tensors: what the forward pass kept.
        work: ``dZ`` and ``dM...``, the gradients of Z and of the results of maps.
        weights: the parameters.
        sums: of each learned vector, its gradient, or a longer tensor that begins with it.
        add: adds a' b to its third argument.
        dtype: of the gradients; left out, that of the parameters.
    """
    dz = work["dZ"]
    grads = {name: torch.zeros_like(weight, dtype=dtype) for name, weight in weights.items()}
    dense = {each.name: each for each in parameters.dense}
    if plan.inputs:
        rows = dense["input"].rows
        _add_blocks(dz[:, :rows], batch.data.flatten(0, -2), dense["input"], grads, add)
    previous = batch.previous_rows()
    for k, product in enumerate(plan.products):
        one, left = dense[str(k)], plan.units(plan.before(product.columns[0]))
        part = dz[:, left : left + one.rows]
        first, history = tensors[f"S0.{product.state}"], tensors[f"S.{product.state}"]
        _add_blocks(part[: batch.size], first, one, grads, add)
        if batch.rows > batch.size:
            _add_blocks(part[batch.size :], history[previous], one, grads, add)
    for each in (each for each in plan.maps if each.weight is not None):
        received, argument = work[f"dM.{each.name}"], tensors[f"V.{each.name}"]
        _add_blocks(received, argument, dense[f"map.{each.name}"], grads, add)
    for leaf in plan.learned:
        vector, gradient = plan.vectors[leaf], sums[leaf]
        width = plan.widths[plan.vector_width(leaf)]
        for name, start in vector.sources:
            grads[name][start : start + (1 if vector.scalar else width)] += (
                gradient[:width].sum() if vector.scalar else gradient[:width]
            )
    return grads


def _add_blocks(a: Tensor, b: Tensor, dense: Dense, grads: Mapping[str, Tensor], add: Add) -> None:
    """Add a' b to the gradient of a kernel, block by block."""
    total = dense.of(grads)
    rows, columns = dense.rows // dense.heads, total.size(1)
    for k in range(dense.heads):
        part = a[:, k * rows : (k + 1) * rows]
        against = b[:, k * columns : (k + 1) * columns]
        add(part, against, total[k * rows : (k + 1) * rows])
