"""Computes the gradients of the parameters from the results of a kernel's backward pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from .batch import Batch
from .buffers import Before
from .lower import Matrix, Program

__all__ = ["weight_gradients"]

#: Adds a' b to its third argument.
Add = Callable[[Tensor, Tensor, Tensor], None]


def weight_gradients(
    program: Program,
    batch: Batch,
    tensors: Mapping[str, Tensor],
    work: Mapping[str, Tensor],
    weights: Mapping[str, Tensor],
    sums: Mapping[str, Tensor],
    add: Add,
    dtype: torch.dtype | None = None,
) -> dict[str, Tensor]:
    """Take one product over all time steps for each weight; vectors get the sums made for them.

    Args:
        program: of the step.
        batch: the sequences.
        tensors: the tensors that the forward pass kept.
        work: ``dZ`` and ``dM...``, the gradients of Z and of the results of maps.
        weights: the parameters.
        sums: for each learned vector, its gradient or a longer tensor that begins with it.
        add: adds a' b to its third argument.
        dtype: dtype of the gradients; by default that of the parameters.
    """
    grads = {name: torch.zeros_like(weight, dtype=dtype) for name, weight in weights.items()}
    transposed, rows = program.transposed, batch.size
    for each in program.products:
        received, buffer = transposed[each.matrix].source, each.source.buffer
        part = received.of(work[received.buffer.name])
        if isinstance(buffer, Before):
            first, history = tensors[buffer.first.name], tensors[buffer.after.name]
            factors = None if each.factors is None else batch.noise[each.factors.buffer.name]
            if factors is not None:
                first = first * factors
            _add_blocks(part[:rows], first, each.matrix, grads, add)
            if batch.rows > rows:
                later = history[batch.previous_rows]
                if factors is not None:
                    later = later * factors[batch.sequence_rows[rows:]]
                _add_blocks(part[rows:], later, each.matrix, grads, add)
        else:
            argument = each.source.of(tensors[buffer.name].flatten(0, -2))
            _add_blocks(part, argument, each.matrix, grads, add)
    plan = program.plan
    for leaf in plan.learned:
        vector, gradient = plan.vectors[leaf], sums[leaf]
        width = plan.widths[plan.vector_width(leaf)]
        for name, start in vector.sources:
            grads[name][start : start + (1 if vector.scalar else width)] += (
                gradient[:width].sum() if vector.scalar else gradient[:width]
            )
    return grads


def _add_blocks(
    a: Tensor, b: Tensor, matrix: Matrix, grads: Mapping[str, Tensor], add: Add
) -> None:
    """Add a' b to the gradient of a weight, block by block."""
    total = matrix.of(grads)
    rows, columns = matrix.rows // matrix.heads, total.size(1)
    for k in range(matrix.heads):
        part = a[:, k * rows : (k + 1) * rows]
        against = b[:, k * columns : (k + 1) * columns]
        add(part, against, total[k * rows : (k + 1) * rows])
