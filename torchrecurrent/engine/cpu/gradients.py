"""The gradients of the parameters, from what a kernel's backward pass left, in two calls of C.

What is multiplied and added up is what :mod:`torchrecurrent.engine.program.weight_gradients` takes
by torch; here it is found once where each factor lies in its tensor.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ..program.batch import Batch
from ..program.buffers import Before, View
from ..program.lower import Program
from .products import Product, Products

__all__ = ["Gradients"]


class Gradients:
    """The products and sums of a program."""

    def __init__(self, program: Program, products: Products, itemsize: int) -> None:
        self._program, self._products, self._itemsize = program, products, itemsize
        received = [program.transposed[each.matrix].source for each in program.products]
        #: Each product with where the gradient of its result is, and the first columns of both.
        self.parts = [
            (each, view.buffer.name, _left(view), _left(each.source))
            for each, view in zip(program.products, received, strict=True)
        ]
        plan = program.plan
        #: For each row of a parameter that is a learned vector: which of them, its width, whether
        #: it is one number, the parameter and the row.
        self.vectors = [
            (k, plan.widths[plan.vector_width(leaf)], plan.vectors[leaf].scalar, name, row)
            for k, leaf in enumerate(plan.learned)
            for name, row in plan.vectors[leaf].sources
        ]

    def __call__(
        self,
        batch: Batch,
        tensors: Mapping[str, Tensor],
        work: Mapping[str, Tensor],
        weights: Mapping[str, Tensor],
        sums: Tensor,
    ) -> dict[str, Tensor]:
        """Return the gradient of each parameter.

        Args:
            batch: the sequences.
            tensors: the tensors that the forward pass kept.
            work: the gradients of Z and of the results of maps.
            weights: the parameters.
            sums: the gradients of learned vectors, ``(slices, vectors, widest)``.
        """
        grads = {name: torch.zeros_like(weight) for name, weight in weights.items()}
        found: list[Product] = []
        read: list[Tensor] = []  # by the products, until they have run
        for each, name, left, column in self.parts:
            matrix, source = each.matrix, each.source.buffer
            a, total = work[name], grads[matrix.weight]
            parts: list[tuple[int, Tensor, int]] = []  # first row, and what lies beside them
            if isinstance(source, Before):
                first, later = tensors[source.first.name], tensors[source.after.name]
                if batch.sizes is not None:
                    later = later[batch.previous_rows]
                if each.factors is not None:
                    factors = batch.noise[each.factors.buffer.name]
                    first = first * factors
                    rest = later[: batch.rows - batch.size]
                    later = rest * factors[batch.sequence_rows[batch.size :]]
                parts = [(0, first, batch.size), (batch.size, later, batch.rows - batch.size)]
            else:
                parts = [(0, tensors[source.name], batch.rows)]
            units, columns = matrix.rows // matrix.heads, total.size(1)
            for start, b, rows in parts:
                read.append(b)
                lda, ldb = a.size(-1), b.size(-1)
                for k in range(matrix.heads if rows else 0):
                    shifts = (
                        (a, start * lda + left + k * units),
                        (b, column + k * columns),
                        (total, (matrix.start + k * units) * columns),
                    )
                    places = [each.data_ptr() + by * self._itemsize for each, by in shifts]
                    strides = (lda, ldb, columns)
                    found.append(Product(rows, columns, units, strides, places))
        if found:
            self._products.add(found, sums)
        if self.vectors:
            slices, vectors, widest = sums.shape
            begin, size = sums.data_ptr(), self._itemsize
            self._products.sum(
                [
                    (
                        slices,
                        vectors * widest,
                        width,
                        shared,
                        begin + k * widest * size,
                        grads[name].data_ptr() + row * size,
                    )
                    for k, width, shared, name, row in self.vectors
                ]
            )
        return grads


def _left(view: View) -> int:
    """How many columns of a buffer are to the left of a view."""
    return sum(width.units for width in view.before)
