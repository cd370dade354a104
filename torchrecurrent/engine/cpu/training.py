"""Runs the two passes of a kernel for training, with as little overhead as possible.

For a short sequence, finding addresses by name and making a tensor for each buffer takes longer
than the kernel: here all that does not change between calls is computed once, and what is kept
between the passes is one tensor.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..program.buffers import Before
from .kernel import Kernel
from .memory import fresh
from .places import Layout, Packed, Place, addresses, parameter_places, shifted
from .products import Product
from .sharing import FEW_ROWS, Sharing

__all__ = ["Training"]

#: Where memory begins. The parameters, the first states and the gradients of states follow.
(
    _NOTHING,
    _DATA,
    _OUTPUT,
    _KEPT,
    _WORK,
    _VECTORS,
    _PACKED,
    _D_OUTPUT,
    _D_DATA,
    _TOTALS,
    _SUMS,
    _LOST,
    _WEIGHTS,
) = range(13)


class _Product(NamedTuple):
    """A product of a weight's gradient."""

    #: How often it has the rows of all steps, and those of one.
    counts: tuple[int, int]
    #: Its columns and rows.
    shape: tuple[int, int]
    #: In numbers, from one row to the next; 0: the width of the data.
    strides: tuple[int, int, int]
    factors: tuple[Place, Place]
    #: The number of the parameter, and how many bytes of its gradient are before it.
    weight: int
    shift: int


class Training:
    """The forward and backward pass of a kernel over sequences of one length, without masks.

    Args:
        kernel: the kernel.
        weights: the shapes of the parameters by name, in the order in which they will be given.
    """

    def __init__(self, kernel: Kernel, weights: Mapping[str, Sequence[int]]) -> None:
        b, plan, size = kernel.program.buffers, kernel.program.plan, kernel.parameters.itemsize
        self._kernel, self._itemsize = kernel, size
        number = {name: _WEIGHTS + k for k, name in enumerate(weights)}
        self._states = _WEIGHTS + len(weights)
        self._gradients = self._states + len(b.first)
        self._kept = Layout(b.kept, _KEPT, size, True)
        others = [each for each in b.scratch if each not in b.kept]
        self._forward = Layout(others, _WORK, size, True)
        self._backward = Layout([*b.d_maps, *b.d_gaps], _WORK, size, True)
        self._output_width = b.output.units
        #: For each state whether it is the output, else where it is kept; and its width.
        self._after = [
            (None if each is b.output else self._kept.places[each.name], each.units)
            for each in b.states.values()
        ]
        known: dict[str, Place] = {
            b.data.name: (_DATA, 0, 0, 0),
            b.output.name: (_OUTPUT, 0, 0, 0),
            "vectors": (_VECTORS, 0, 0, 0),
            **self._kept.places,
            **parameter_places(kernel, weights, number),
            **{each.name: (self._states + k, 0, 0, 0) for k, each in enumerate(b.first.values())},
        }
        self._packed = Packed(kernel, weights, number, _PACKED)
        #: The pointers of the forward pass, without and with packed weights.
        self._forwards = [
            self._pointers({**known, **self._forward.places, **matrices})
            for matrices in ({}, self._packed.places)
        ]
        known |= {
            **self._backward.places,
            b.d_affine.name: known[b.affine.name],
            b.d_output.name: (_D_OUTPUT, 0, 0, 0),
            b.d_data.name: (_D_DATA, 0, 0, 0),
            **{
                each.name: (begin, 0, 0, 0)
                for each, begin in zip(b.totals, (_TOTALS, _SUMS, _LOST), strict=True)
            },
            **{
                each.name: (self._gradients + k, 0, 0, 0)
                for k, each in enumerate(b.d_states.values())
            },
        }
        #: Without and with the gradient of the input.
        self._transposed = [
            Packed(kernel, weights, number, _PACKED, True, without) for without in ("input", "")
        ]
        self._backwards = [self._pointers(known | each.places) for each in self._transposed]
        self._makes_data = bool(plan.inputs or plan.gaps)
        self._raw = plan.raw_gradient
        self._sums = (len(plan.learned), max(plan.widths))
        order = list(weights)
        self._products = list(self._gradient_products(weights, known))
        #: For each row of a parameter that is a learned vector: which, width, whether it is one
        #: number, the parameter, the row.
        self._vectors = [
            (k, width, shared, order.index(name), row)
            for k, width, shared, name, row in kernel.gradients.vectors
        ]

    def _gradient_products(
        self, weights: Mapping[str, Sequence[int]], known: Mapping[str, Place]
    ) -> Iterator[_Product]:
        """Yield the products of the weights' gradients, whose factors lie in known places."""
        program, size, order = self._kernel.program, self._itemsize, list(weights)
        for each, name, left, column in self._kernel.gradients.parts:
            matrix, source = each.matrix, each.source.buffer
            columns, units = weights[matrix.weight][1], matrix.rows // matrix.heads
            lda = program.transposed[matrix].source.buffer.units
            factors = [(1, 0, False, source)]
            if isinstance(source, Before):  # the first states, and those of the step before
                factors = [(0, 1, False, source.first), (1, -1, True, source.after)]
            for times_rows, times_size, later, factor in factors:
                # Of the input only a call knows the width.
                ldb = 0 if factor is program.buffers.data else factor.units
                for k in range(matrix.heads):
                    of_a = shifted(known[name], (left + k * units) * size, later * lda * size)
                    of_b = shifted(known[factor.name], (column + k * columns) * size)
                    yield _Product(
                        (times_rows, times_size),
                        (columns, units),
                        (lda, ldb, columns),
                        (of_a, of_b),
                        order.index(matrix.weight),
                        (matrix.start + k * units) * columns * size,
                    )

    def _pointers(self, places: Mapping[str, Place]) -> list[Place]:
        nothing = (_NOTHING, 0, 0, 0)
        return [places.get(slot, nothing) for slot in self._kernel.source.slots]

    def kept_length(self, data: Tensor) -> int:
        """How many numbers are kept between the passes."""
        steps, size, _ = data.shape
        return self._kept.length(steps * size, size)

    def forward(
        self,
        data: Tensor,
        weights: Sequence[Tensor],
        states: Sequence[Tensor],
        constants: Sequence[float],
    ) -> tuple[list[Tensor], Tensor]:
        """Return the output and the last states, and what the backward pass needs.

        Args:
            data: ``(T, N, I)``; contiguous, as all of these.
            weights: the parameters.
            states: the first ones, each ``(N, width)``.
            constants: numbers of the step.
        """
        steps, size, _ = data.shape
        rows = steps * size
        output = fresh(data, (steps, size, self._output_width))
        kept = fresh(data, (self._kept.length(rows, size),))
        packed, sharing = rows > FEW_ROWS, self._kernel.sharing.of(rows, size, False)
        begins = self._begins(data, output, kept, weights, states)
        pointers, packing = self._forwards[packed], self._packed if packed else None
        self._run(False, pointers, begins, data, constants, self._forward, packing, sharing)
        results = [output]
        for place, units in self._after:
            if place is None:
                results.append(output[-1].clone())
                continue
            _, fixed, each_row, each_sequence = place
            start = (fixed + each_row * rows + each_sequence * size) // self._itemsize
            last = kept.as_strided((size, units), (units, 1), start + (rows - size) * units)
            results.append(last.clone())
        return results, kept

    def backward(
        self,
        data: Tensor,
        output: Tensor,
        kept: Tensor,
        weights: Sequence[Tensor],
        states: Sequence[Tensor],
        constants: Sequence[float],
        grad_output: Tensor,
        grad_states: Sequence[Tensor],
        needs_data: bool,
    ) -> list[Tensor | None]:
        """Return the gradients of the data, the weights and the first states.

        Args:
            data: as in the forward pass, as are others.
            output: of that pass.
            kept: by it; the gradient of Z takes the place of Z.
            weights: the parameters.
            states: the first ones.
            constants: numbers of the step.
            grad_output: the gradient of the output, contiguous.
            grad_states: those of the last states, contiguous; those of the first take their place.
            needs_data: whether the gradient of the data is wanted.
        """
        steps, size, width = data.shape
        rows, kernel = steps * size, self._kernel
        sharing, (learned, widest) = kernel.sharing.of(rows, size, True), self._sums
        sums = data.new_zeros(3, sharing.slices, learned, widest)
        grad_data: Tensor | None = None
        if (self._makes_data and needs_data) or self._raw:
            grad_data = fresh(data, data.shape)
        elif needs_data:
            grad_data = torch.zeros_like(data)
        begins = self._begins(data, output, kept, weights, states)
        begins += [each.data_ptr() for each in grad_states]
        begins[_D_OUTPUT] = grad_output.data_ptr()
        begins[_D_DATA] = 0 if grad_data is None else grad_data.data_ptr()
        part = sharing.slices * learned * widest * self._itemsize
        start = sums.data_ptr()
        begins[_TOTALS], begins[_SUMS], begins[_LOST] = start, start + part, start + 2 * part
        pointers, packing = self._backwards[needs_data], self._transposed[needs_data]
        work = self._run(True, pointers, begins, data, constants, self._backward, packing, sharing)
        grads = [torch.zeros_like(weight) for weight in weights]
        totals = [grad.data_ptr() for grad in grads]
        found = []
        for each in self._products:
            count = each.counts[0] * rows + each.counts[1] * size
            if count:
                lda, ldb, ldt = each.strides
                places = addresses(each.factors, begins, rows, size)
                places.append(totals[each.weight] + each.shift)
                found.append(Product(count, *each.shape, (lda, ldb or width, ldt), places))
        if found:
            kernel.products.add(found, data)
        del work  # which they have read
        if self._vectors:
            kernel.products.sum(
                [
                    (
                        sharing.slices,
                        learned * widest,
                        units,
                        shared,
                        begins[_SUMS] + k * widest * self._itemsize,
                        totals[weight] + row * self._itemsize,
                    )
                    for k, units, shared, weight, row in self._vectors
                ]
            )
        return [grad_data if needs_data else None, *grads, *grad_states]

    def _begins(
        self,
        data: Tensor,
        output: Tensor,
        kept: Tensor,
        weights: Sequence[Tensor],
        states: Sequence[Tensor],
    ) -> list[int]:
        """Return where the memory of a call begins, in the order of the numbers above."""
        begins = [0] * _WEIGHTS
        begins[_DATA], begins[_OUTPUT] = data.data_ptr(), output.data_ptr()
        begins[_KEPT] = kept.data_ptr()
        begins += [each.data_ptr() for each in weights]
        return begins + [each.data_ptr() for each in states]

    def _run(
        self,
        backward: bool,
        pointers: Sequence[Place],
        begins: list[int],
        data: Tensor,
        constants: Sequence[float],
        layout: Layout,
        packing: Packed | None,
        sharing: Sharing,
    ) -> Tensor:
        """Make room for what a pass works with, and run it; return that memory."""
        kernel, (steps, size, width) = self._kernel, data.shape
        rows, itemsize = steps * size, self._itemsize
        own, vectors = layout.length(rows, size), sharing.slices * kernel.sums
        work = fresh(data, (own + vectors + (packing.length if packing else 0),))
        begins[_WORK] = work.data_ptr()
        begins[_VECTORS] = begins[_WORK] + own * itemsize
        begins[_PACKED] = begins[_VECTORS] + vectors * itemsize
        if packing:
            packing.pack(begins)
        found = array("Q", addresses(pointers, begins, rows, size))
        numbers = array("d", constants)
        kernel.launch(
            kernel.back if backward else kernel.call,
            found.buffer_info()[0],
            numbers.buffer_info()[0],
            (steps, width - kernel.plan.gaps, size, True, packing is not None),
            sharing,
        )
        return work
