"""How many units each value of a step has."""

from __future__ import annotations

from collections.abc import Callable

from .graph import Graph, Leaf
from .trace import UntraceableError

__all__ = ["node_widths"]


def node_widths(graph: Graph, leaf_width: Callable[[Leaf], int | None]) -> list[int | None]:
    """Return the width of each node; ``None`` for a number, which fits any.

    Raises:
        UntraceableError: if an operation combines values of different widths.
    """
    found: list[int | None] = []
    for node in graph.nodes:
        if node.leaf is not None:
            found.append(leaf_width(node.leaf))
            continue
        widths = {found[arg] for arg in node.args} - {None}
        if len(widths) > 1:
            given = " and ".join(str(width) for width in sorted(filter(None, widths)))
            raise UntraceableError(f"{node.op!r} joins values of the widths {given}")
        found.append(widths.pop() if widths else None)
    return found
