"""Finds the values that a step computes from parameters alone, so that they are computed once."""

from __future__ import annotations

from .graph import Graph
from .operations import OPERATIONS

__all__ = ["steady_nodes"]


def steady_nodes(graph: Graph) -> frozenset[int]:
    """Return the nodes that depend on learned vectors and constants only and are costly.

    None is a comparison, since only numbers are kept in memory.
    """
    fixed: set[int] = set()
    learned: set[int] = set()
    costly: set[int] = set()
    for index, node in enumerate(graph.nodes):
        if node.leaf is not None:
            if node.leaf.kind in "vc":
                fixed.add(index)
            if node.leaf.kind == "v":
                learned.add(index)
        elif all(arg in fixed for arg in node.args):
            fixed.add(index)
            if any(arg in learned for arg in node.args):
                learned.add(index)
            # a cheap one is recomputed faster than its result is read from memory
            costs = bool(node.args) and not OPERATIONS[node.op].cheap
            if costs or any(arg in costly for arg in node.args):
                costly.add(index)
    return frozenset(k for k in learned & costly if not OPERATIONS[graph.nodes[k].op].compares)
