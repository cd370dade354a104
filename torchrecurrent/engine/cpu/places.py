"""Where the pointers of a kernel lead, computed once: from where memory begins in a call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..program.buffers import Buffer
from .kernel import Kernel

__all__ = ["Layout", "Packed", "Place", "addresses", "parameter_places", "shifted"]

#: The number of a memory, and how many bytes it is from its begin: some, others for each row of all
#: steps, others for each sequence.
Place = tuple[int, int, int, int]


def addresses(places: Iterable[Place], begins: Sequence[int], rows: int, size: int) -> list[int]:
    """Return the addresses of a call.

    Args:
        places: of each pointer.
        begins: the address of each memory.
        rows: of all steps.
        size: the number of sequences.
    """
    return [
        begins[begin] + fixed + each_row * rows + each_sequence * size
        for begin, fixed, each_row, each_sequence in places
    ]


def shifted(place: Place, by: int, each_sequence: int = 0) -> Place:
    """Return a place so many bytes further on."""
    begin, fixed, each_row, at_sequence = place
    return begin, fixed + by, each_row, at_sequence + each_sequence


def parameter_places(
    kernel: Kernel, weights: Mapping[str, Sequence[int]], number: Mapping[str, int]
) -> dict[str, Place]:
    """Return the places of vectors and of matrices that are not packed, by the kernel's names.

    Args:
        kernel: the kernel.
        weights: the shapes of the parameters.
        number: those of their memory.
    """
    itemsize, parameters = kernel.parameters.itemsize, kernel.parameters
    starts = [(slot, name, row) for slot, name, row in parameters.vectors]
    starts += [
        (each.slot(), each.weight, each.start * weights[each.weight][1])
        for each in parameters.matrices
    ]
    return {slot: (number[name], start * itemsize, 0, 0) for slot, name, start in starts}


class Layout:
    """Buffers one after the other.

    Args:
        buffers: the buffers.
        begin: the number of their memory.
        itemsize: of a number.
        keep: whether a backward pass follows.
    """

    def __init__(self, buffers: Sequence[Buffer], begin: int, itemsize: int, keep: bool) -> None:
        self.places: dict[str, Place] = {}
        self._row = self._sequence = 0
        for each in buffers:
            at = (begin, 0, self._row * itemsize, self._sequence * itemsize)
            self.places[each.name] = at
            if each.is_long(keep):
                self._row += each.units
            else:
                self._sequence += each.units

    def length(self, rows: int, size: int) -> int:
        """How many numbers they have together."""
        return self._row * rows + self._sequence * size


class Packed:
    """Weights, or their transposes, as gemm.c reads them, one after the other.

    Args:
        kernel: the kernel.
        weights: the shapes of the parameters.
        number: those of their memory.
        begin: the number of the memory for these.
        transposed: whether it is the transposes.
        without: the name of a matrix that is left out.
    """

    def __init__(
        self,
        kernel: Kernel,
        weights: Mapping[str, Sequence[int]],
        number: Mapping[str, int],
        begin: int,
        transposed: bool = False,
        without: str = "",
    ) -> None:
        itemsize = kernel.parameters.itemsize
        self.places: dict[str, Place] = {}
        self.length = 0
        self._products, self._transposed, self._begin = kernel.products, transposed, begin
        self._kernels: list[tuple[int, int, int, int, int, int]] = []
        for each in kernel.parameters.matrices:
            if each.name == without:
                continue
            inner, units = weights[each.weight][1], each.rows // each.heads
            start, at = each.start * inner * itemsize, self.length * itemsize
            self.places[each.slot(transposed)] = (begin, at, 0, 0)
            self._kernels.append((each.heads, units, inner, number[each.weight], start, at))
            shape = (inner, units) if transposed else (units, inner)
            self.length += each.heads * kernel.products.packed_size(*shape)

    def pack(self, begins: Sequence[int]) -> None:
        """Pack them, given where each memory begins."""
        into = begins[self._begin]
        self._products.pack(
            (heads, units, inner, self._transposed, begins[number] + start, into + at)
            for heads, units, inner, number, start, at in self._kernels
        )
