"""Lays out parameters for the kernels."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from .lower import Program

__all__ = ["Parameters"]

Weights = Mapping[str, Tensor]


class Parameters:
    """The places of a program's matrices and vectors in a cell's parameters, computed once."""

    def __init__(self, program: Program, itemsize: int) -> None:
        self.itemsize = itemsize
        self.matrices = [each.matrix for each in program.products]
        #: For each pointer to the numbers of a vector: its name, the parameter, its first row.
        self.vectors = [
            (buffer.name, name, start)
            for leaf, buffers in program.buffers.vectors.items()
            for buffer, (name, start) in zip(
                buffers, program.plan.vectors[leaf].sources, strict=True
            )
        ]

    def addresses(self, weights: Weights) -> dict[str, int]:
        """Return the address of each, without packing, by the kernel's names."""
        starts = {name: weight.data_ptr() for name, weight in weights.items()}
        found = {slot: starts[name] + row * self.itemsize for slot, name, row in self.vectors}
        for each in self.matrices:
            row = weights[each.weight].size(1) * self.itemsize
            found[each.slot()] = starts[each.weight] + each.start * row
        return found
