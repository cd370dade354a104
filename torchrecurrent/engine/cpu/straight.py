"""Runs a kernel forward without gradients, with as little overhead as possible.

For a short sequence, filling in a kernel's pointers takes longer than the kernel: here all that
does not change between calls is computed once.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence

from torch import Tensor

from .kernel import Kernel
from .memory import fresh
from .sharing import FEW_ROWS

__all__ = ["Straight"]

#: Where a pointer begins: at nothing, the input, the output, the scratch memory or Z. The
#: parameters, the first states and the last ones follow.
_NOTHING, _DATA, _OUTPUT, _SCRATCH, _Z, _WEIGHTS = range(6)

_Place = tuple[int, int, int]


class Straight:
    """The forward pass of a kernel over sequences of one length, which keeps nothing.

    Args:
        kernel: the kernel.
        weights: the shapes of the parameters by name, in the order in which they will be given.
    """

    def __init__(self, kernel: Kernel, weights: Mapping[str, Sequence[int]]) -> None:
        b, parameters = kernel.program.buffers, kernel.parameters
        self._kernel, size = kernel, parameters.itemsize
        number = {name: _WEIGHTS + k for k, name in enumerate(weights)}
        before = _WEIGHTS + len(weights)
        after = before + len(b.first)
        self._widths = [each.units for each in b.states.values()]
        self._shows = [each is b.output for each in b.states.values()]
        self._output_width, self._units = b.output.units, b.affine.units
        #: For each pointer where it begins, and how many bytes and N times bytes it is from there.
        known: dict[str, _Place] = {
            b.data.name: (_DATA, 0, 0),
            b.output.name: (_OUTPUT, 0, 0),
            b.affine.name: (_Z, 0, 0),
        }
        for k, (first, last) in enumerate(zip(b.first.values(), b.states.values(), strict=True)):
            known[first.name] = (before + k, 0, 0)
            known.setdefault(last.name, (after + k, 0, 0))
        for slot, name, row in parameters.vectors:
            known[slot] = (number[name], row * size, 0)
        given, packed = {}, {}
        self._kernels: list[tuple[int, int, int, int, int, int]] = []
        self._packed = 0
        for each in parameters.matrices:
            inner, units = weights[each.weight][1], each.rows // each.heads
            start = each.start * inner * size
            given[each.slot()] = (number[each.weight], start, 0)
            packed[each.slot()] = (_SCRATCH, self._packed * size, 0)
            self._kernels.append(
                (each.heads, units, inner, number[each.weight], start, self._packed * size)
            )
            self._packed += each.heads * kernel.products.packed_size(units, inner)
        self._row = 0
        scratch = {}
        for buffer in b.scratch:
            if buffer is b.affine:
                continue
            scratch[buffer.name] = self._row * size
            self._row += buffer.units
        scratch["vectors"] = self._row * size
        slots = kernel.source.slots
        #: The same without and with packed weights, with which the scratch memory begins.
        self._places: list[list[_Place]] = [
            [
                (
                    {name: (_SCRATCH, begin, n) for name, n in scratch.items()} | known | matrices
                ).get(slot, (_NOTHING, 0, 0))
                for slot in slots
            ]
            for begin, matrices in ((0, given), (self._packed * size, packed))
        ]

    def __call__(
        self,
        data: Tensor,
        weights: Sequence[Tensor],
        states: Sequence[Tensor],
        constants: array[float],
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the output and the states after the last step.

        A state that is the output is not copied from there.

        Args:
            data: ``(T, N, I)``, or ``(N, I)`` for one step; contiguous, as all of these.
            weights: the parameters.
            states: the first ones, each ``(N, width)``.
            constants: numbers of the step.
        """
        kernel = self._kernel
        *lead, width = data.shape
        size, steps = lead[-1], lead[0] if len(lead) == 2 else 1
        rows = steps * size
        packed, keep = rows > FEW_ROWS, steps == 1
        sharing = kernel.sharing.of(rows, size)
        output = (
            fresh(data, (*lead, self._output_width))
            if steps > 1
            else data.new_empty((*lead, self._output_width))
        )
        # A single step reads the states before it where they are; else they are overwritten.
        last = [
            output if shows else data.new_empty((size, units)) if keep else state.clone()
            for state, shows, units in zip(states, self._shows, self._widths, strict=True)
        ]
        others = packed * self._packed + size * self._row + sharing.slices * kernel.sums
        scratch = fresh(data, (others + max(1, sharing.chunk) * size * self._units,))
        start = scratch.data_ptr()
        z = start + others * kernel.parameters.itemsize
        given = [weight.data_ptr() for weight in weights]
        begins = [0, data.data_ptr(), output.data_ptr(), start, z, *given]
        if packed:
            kernel.products.pack(
                (heads, units, inner, False, begins[number] + first, start + place)
                for heads, units, inner, number, first, place in self._kernels
            )
        begins += [state.data_ptr() for state in states]
        begins += [state.data_ptr() for state in last]
        pointers = array(
            "Q", [begins[begin] + by + each * size for begin, by, each in self._places[packed]]
        )
        kernel.launch(
            kernel.call,
            pointers.buffer_info()[0],
            constants.buffer_info()[0],
            (steps, width - kernel.plan.gaps, size, keep, packed),
            sharing,
        )
        if steps > 1 or len(lead) == 2:
            last = [
                output[-1] if shows else state
                for state, shows in zip(last, self._shows, strict=True)
            ]
        return output, tuple(last)
