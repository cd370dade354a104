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
from .places import Layout, Packed, Place, addresses, parameter_places
from .sharing import FEW_ROWS

__all__ = ["Straight"]

#: Where memory begins. The parameters, the first states and the last ones follow.
_NOTHING, _DATA, _OUTPUT, _WORK, _VECTORS, _PACKED, _Z, _WEIGHTS = range(8)


class Straight:
    """The forward pass of a kernel over sequences of one length, which keeps nothing.

    Args:
        kernel: the kernel.
        weights: the shapes of the parameters by name, in the order in which they will be given.
    """

    def __init__(self, kernel: Kernel, weights: Mapping[str, Sequence[int]]) -> None:
        b, size = kernel.program.buffers, kernel.parameters.itemsize
        self._kernel = kernel
        number = {name: _WEIGHTS + k for k, name in enumerate(weights)}
        before = _WEIGHTS + len(weights)
        after = before + len(b.first)
        self._widths = [each.units for each in b.states.values()]
        self._shows = [each is b.output for each in b.states.values()]
        self._output_width, self._units = b.output.units, b.affine.units
        others = [each for each in b.scratch if each is not b.affine]
        self._layout = Layout(others, _WORK, size, False)
        self._packed = Packed(kernel, weights, number, _PACKED)
        known: dict[str, Place] = {
            b.data.name: (_DATA, 0, 0, 0),
            b.output.name: (_OUTPUT, 0, 0, 0),
            b.affine.name: (_Z, 0, 0, 0),
            "vectors": (_VECTORS, 0, 0, 0),
            **self._layout.places,
            **parameter_places(kernel, weights, number),
        }
        for k, (first, last) in enumerate(zip(b.first.values(), b.states.values(), strict=True)):
            known[first.name] = (before + k, 0, 0, 0)
            known.setdefault(last.name, (after + k, 0, 0, 0))
        slots, nothing = kernel.source.slots, (_NOTHING, 0, 0, 0)
        #: The same without and with packed weights.
        self._places: list[list[Place]] = [
            [places.get(slot, nothing) for slot in slots]
            for places in (known, known | self._packed.places)
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
        kernel, itemsize = self._kernel, self._kernel.parameters.itemsize
        *lead, width = data.shape
        size, steps = lead[-1], lead[0] if len(lead) == 2 else 1
        rows = steps * size
        packed, keep = rows > FEW_ROWS, steps == 1
        sharing = kernel.sharing.of(rows, size, False)
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
        own, vectors = self._layout.length(rows, size), sharing.slices * kernel.sums
        matrices = packed * self._packed.length
        others = own + vectors + matrices
        scratch = fresh(data, (others + max(1, sharing.chunk) * size * self._units,))
        start = scratch.data_ptr()
        begins = [
            *(0, data.data_ptr(), output.data_ptr(), start),
            *(start + each * itemsize for each in (own, own + vectors, others)),
            *(weight.data_ptr() for weight in weights),
        ]
        if packed:
            self._packed.pack(begins)
        begins += [state.data_ptr() for state in states]
        begins += [state.data_ptr() for state in last]
        pointers = array("Q", addresses(self._places[packed], begins, rows, size))
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
