"""Runs a single time step without gradients, with as little overhead as possible.

At a batch of one, filling in a kernel's pointers takes longer than the kernel: here all that
does not change between calls is computed once.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

from torch import Tensor

from .kernel import FEW_ROWS, Kernel, SequenceArguments
from .threads import Call

__all__ = ["OneStep"]


class OneStep:
    """One step of a kernel.

    Args:
        kernel: the kernel.
        names: the parameters, in the order in which they will be given.
    """

    def __init__(self, kernel: Kernel, names: Sequence[str]) -> None:
        b, parameters = kernel.program.buffers, kernel.parameters
        place = {slot: k for k, slot in enumerate(kernel.source.slots)}
        self._kernel, self._itemsize = kernel, parameters.itemsize
        self._data = place.get(b.data.name)
        self._before = [place.get(each.name) for each in b.first.values()]
        self._after = [place.get(each.name) for each in b.states.values()]
        self._widths = [each.units for each in b.states.values()]
        self._output = None if b.output in b.states.values() else place.get(b.output.name)
        self._output_width = b.output.units
        numbers = {name: k for k, name in enumerate(names)}
        #: For each pointer into a parameter: its place, the parameter, rows, bytes.
        self._parameters = [
            (place[slot], numbers[name], 0, row * parameters.itemsize)
            for slot, name, row in parameters.vectors
        ] + [
            (place[each.slot()], numbers[each.weight], each.start, 0)
            for each in parameters.matrices
        ]
        #: For each pointer into the scratch memory: its place, and where it begins in each row.
        self._scratch: list[tuple[int, int]] = []
        self._scratch_width = 0
        for each in b.scratch:
            if each.name in place:
                self._scratch.append((place[each.name], self._scratch_width))
                self._scratch_width += each.units
        self._vectors = place.get("vectors")

    def __call__(
        self,
        data: Tensor,
        weights: Sequence[Tensor],
        states: Sequence[Tensor],
        constants: Sequence[float],
    ) -> tuple[Tensor, tuple[Tensor, ...]] | None:
        """Return the output ``(N, width)`` and the new states; ``None`` if the batch is large.

        Args:
            data: ``(N, I)``, contiguous, as all of these.
            weights: the parameters.
            states: each ``(N, width)``.
            constants: numbers of the step.
        """
        kernel, itemsize, rows = self._kernel, self._itemsize, data.size(0)
        if rows > FEW_ROWS:
            return None
        pointers = kernel.pointers()
        starts = [weight.data_ptr() for weight in weights]
        for place, number, row, offset in self._parameters:
            if row:
                offset = row * weights[number].size(1) * itemsize
            pointers[place] = starts[number] + offset
        scratch = data.new_empty(rows * self._scratch_width + kernel.sums)
        start = scratch.data_ptr()
        for place, width in self._scratch:
            pointers[place] = start + rows * width * itemsize
        if self._vectors is not None:
            pointers[self._vectors] = start + rows * self._scratch_width * itemsize
        if self._data is not None:
            pointers[self._data] = data.data_ptr()
        made = tuple(data.new_empty((rows, width)) for width in self._widths)
        for before, after, old, new in zip(self._before, self._after, states, made, strict=True):
            if before is not None:
                pointers[before] = old.data_ptr()
            if after is not None:
                pointers[after] = new.data_ptr()
        output = made[0]
        if self._output is not None:
            output = data.new_empty((rows, self._output_width))
            pointers[self._output] = output.data_ptr()
        numbers = kernel.numbers(*constants)
        arguments = SequenceArguments(
            ctypes.addressof(pointers),
            ctypes.addressof(numbers),
            None,
            None,
            kernel.widths,
            kernel.blocks,
            1,
            data.size(1) - kernel.plan.gaps,
            rows,
            True,
            False,
        )
        kernel.call(ctypes.byref(Call(None, None, 0, 1, 1, ctypes.addressof(arguments))))
        return output, made
