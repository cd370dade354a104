"""The computation of a kernel: a traced step, cut at maps, with its backward pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from ...across import Across
from ..ir.graph import Graph, Leaf

__all__ = ["Cleared", "Map", "Plan", "Product", "Vector", "grouped"]


@dataclass(frozen=True)
class Product:
    """Adjacent columns of Z that hold the product of one state with rows of one weight."""

    weight: str
    start: int  # first row of the weight
    columns: tuple[str, ...]  # by name; neighbours in the weight and in Z
    state: str
    adds: bool  # to the input's projection, which is in Z already
    heads: int  # blocks on the weight's diagonal; a product with several has one column
    factor: str | None = None  # the mask that the state is multiplied with first


@dataclass(frozen=True)
class Cleared:
    """A state that is zero where a sequence begins anew, as products read it."""

    value: int  # node of what they multiply
    gradient: int  # node of the state's gradient, once they have passed theirs on


@dataclass(frozen=True)
class Map:
    """Adjacent rows of a weight that the step itself applies to one value.

    Without a weight it is an operation across the units, such as their average.
    """

    names: tuple[str, ...]  # of what comes out, part by part
    weight: str | None
    start: int
    argument: int  # node
    heads: int
    across: Across | None = None  # without a weight

    @property
    def name(self) -> str:
        return self.names[0]

    @property
    def passes(self) -> bool:
        """Whether its argument gets a gradient."""
        return self.across is None or self.across.gradient is not None


def grouped(maps: Iterable[Map], rows: Mapping[str, int]) -> list[Map]:
    """Combine maps of adjacent rows applied to the same value into one, at the first's place.

    Args:
        maps: the maps, each with one result.
        rows: the first row of each, by the name of its result.
    """
    groups: list[Map] = []
    for each in maps:
        for place, group in enumerate(groups):
            if (
                group.heads == each.heads == 1
                and each.weight is not None
                and (group.weight, group.argument) == (each.weight, each.argument)
                and group.start + sum(rows[name] for name in group.names) == each.start
            ):
                names = (*group.names, *each.names)
                groups[place] = Map(names, group.weight, group.start, group.argument, 1)
                break
        else:
            groups.append(each)
    return groups


@dataclass(frozen=True)
class Vector:
    """Learned numbers that the step reads unit by unit: the sum of rows of some parameters."""

    sources: tuple[tuple[str, int], ...]  # parameter and first row
    scalar: bool = False  # one number for all units


@dataclass(frozen=True, eq=False)
class Plan:
    """All that emitters and launchers know of a cell; they only read it.

    Widths are referred to by their place in ``widths``, so that the code serves all sizes: two
    widths that happen to be equal are one, and values of both may be combined.
    """

    graph: Graph
    widths: tuple[int, ...]  # the first is the hidden size
    node_widths: list[int]  # of each node: the place of its width
    columns: dict[str, int]  # the affine arguments, those of the input first: place of the width
    inputs: int  # how many of them have a part from the input
    states: dict[str, int]
    constants: tuple[str, ...]
    factors: dict[str, int]  # what recurrent weights multiply is multiplied with them first
    zoned: dict[str, int]  # masks of states that stay what they are
    cleared: dict[str, Cleared]  # of the states that products read, if sequences may begin anew
    vectors: dict[str, Vector]  # by the name of their leaf, of kind v
    products: tuple[Product, ...]
    maps: tuple[Map, ...]
    mapped: dict[str, int]  # results of maps
    new_states: tuple[int, ...]
    output: int | None  # node of an output that is no state
    gradients: dict[Leaf, int]
    zero: int  # node of the number 0
    gaps: int  # how many columns of the data, after the input's, hold times between steps: 0 or 1
    flags: tuple[str, ...]  # the names of numbers for each step of each sequence, which are 0 or 1

    @cached_property
    def learned(self) -> tuple[str, ...]:
        """The vectors whose gradients the kernel itself sums."""
        return tuple(name for name in self.vectors if Leaf("v", name) in self.gradients)

    @cached_property
    def raw_gradient(self) -> bool:
        """Whether the step itself passes a gradient to the input."""
        return Leaf("x", "input") in self.gradients

    @cached_property
    def output_width(self) -> int:
        """The place of the output's width."""
        if self.output is not None:
            return self.node_widths[self.output]
        return next(iter(self.states.values()))

    def gradient(self, kind: str, name: str) -> int:
        """The node of a leaf's gradient."""
        return self.gradients.get(Leaf(kind, name), self.zero)

    def vector_width(self, name: str) -> int:
        """The place of the width of a learned vector."""
        return self.node_widths[self.graph.leaf("v", name)]

    def units(self, places: Iterable[int]) -> int:
        """The sum of some widths."""
        return sum(self.widths[place] for place in places)
