"""Puts a plan together: derives the backward pass of a traced step and finds all widths."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ...across import Across
from ..ir.derive import derive
from ..ir.graph import Graph, Leaf
from ..ir.trace import Symbol
from ..ir.widths import node_widths
from .plan import Cleared, Map, Plan, Product, Vector, grouped

__all__ = ["Assembly"]


@dataclass
class Assembly:
    """The parts of a plan, as tracing finds them.

    Attributes:
        hidden_size: the width of what has none of its own.
        graph: of the step.
        states: the width of each state.
        columns: the width of each column of Z.
        vectors: the learned vectors, by the name of their leaf.
        maps: the maps, each with one result.
        results: the width of each map's result.
        leaf_widths: the width of each leaf that has one.
        factors: the width of each mask that the states of a product are multiplied with.
        zoned: the width of each mask of states that stay what they are.
        cleared: what products read in place of a state, by its name, if sequences may begin anew.
        gaps: whether the time between steps is given.
        flags: the names of numbers for each step of each sequence, which are 0 or 1.
    """

    hidden_size: int
    graph: Graph = field(default_factory=Graph)
    states: dict[str, int] = field(default_factory=dict)
    columns: dict[str, int] = field(default_factory=dict)
    vectors: dict[str, Vector] = field(default_factory=dict)
    maps: list[Map] = field(default_factory=list)
    results: dict[str, int] = field(default_factory=dict)
    leaf_widths: dict[Leaf, int] = field(default_factory=dict)
    factors: dict[str, int] = field(default_factory=dict)
    zoned: dict[str, int] = field(default_factory=dict)
    cleared: dict[str, Symbol] = field(default_factory=dict)
    gaps: bool = False
    flags: tuple[str, ...] = ()

    def leaf(self, kind: str, name: str, width: int | None) -> Symbol:
        """Return the symbol of a leaf."""
        if width is not None:
            self.leaf_widths[Leaf(kind, name)] = width
        return Symbol(self.graph, self.graph.leaf(kind, name))

    def widths(self) -> list[int | None]:
        """Return the width of each node; ``None`` for a number."""
        return node_widths(self.graph, self.leaf_widths.get)

    def across(self, across: Across, node: int, width: int) -> Symbol:
        """Return the result, of a given width, of an operation across the units of a node."""
        result = f"{across.name}.{len(self.maps)}"
        self.results[result] = width
        self.maps.append(Map((result,), None, 0, node, 1, across))
        return self.leaf("m", result, width)

    def plan(
        self,
        nodes: Sequence[int],
        output: int | None,
        output_size: int,
        inputs: int,
        products: Iterable[Product],
        constants: tuple[str, ...] = (),
    ) -> Plan:
        """Derive the backward pass and return the plan; the graph is complete then.

        Args:
            nodes: the new states.
            output: the output, if it is no state.
            output_size: its width.
            inputs: how many columns of Z have a part from the input; they come first.
            products: of the states.
            constants: the names of numbers that are passed at each call.

        Raises:
            UntraceableError: if an operation combines values of different widths.
        """
        graph = self.graph
        seeds: dict[int, int] = {}

        def seed(node: int, gradient: int) -> None:
            seeds[node] = graph.op("add", seeds[node], gradient) if node in seeds else gradient

        for (name, width), node in zip(self.states.items(), nodes, strict=True):
            seed(node, self.leaf("g", name, width).node)
        seed(nodes[0] if output is None else output, self.leaf("y", "output", output_size).node)
        maps = grouped(self.maps, self.results)
        groups = {
            graph.leaf("m", name): (each.argument, each.name)
            for each in maps
            for name in each.names
            if each.passes
        }
        forward = self.widths()
        for each in maps:
            self.leaf("a", each.name, forward[each.argument])
        gradients = derive(graph, seeds, groups)
        cleared = {name: self._cleared(name, read.node) for name, read in self.cleared.items()}
        zero = graph.number(0)
        graph.complete = True
        found = self.widths()
        widths = list(dict.fromkeys([self.hidden_size, *filter(None, found)]))

        def place(named: Mapping[str, int]) -> dict[str, int]:
            return {name: widths.index(width) for name, width in named.items()}

        return Plan(
            graph,
            tuple(widths),
            [widths.index(width or self.hidden_size) for width in found],
            place(self.columns),
            inputs,
            place(self.states),
            constants,
            place(self.factors),
            place(self.zoned),
            cleared,
            self.vectors,
            tuple(products),
            tuple(maps),
            place(self.results),
            tuple(nodes),
            output,
            gradients,
            zero,
            int(self.gaps),
            self.flags,
        )

    def _cleared(self, name: str, read: int) -> Cleared:
        width, graph = self.states[name], self.graph
        passed = derive(graph, {read: self.leaf("a", f"before {name}", width).node}, {})
        own = self.leaf("g", name, width).node
        return Cleared(read, graph.op("add", own, passed[Leaf("s", name)]))
