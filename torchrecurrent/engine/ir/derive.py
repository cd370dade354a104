"""Derives the backward pass of a graph from the gradient of each operation."""

from __future__ import annotations

from collections.abc import Mapping

from .graph import Graph, Leaf
from .operations import OPERATIONS
from .trace import Symbol

__all__ = ["derive"]


def derive(
    graph: Graph, outputs: Mapping[int, int], maps: Mapping[int, tuple[int, str]]
) -> dict[Leaf, int]:
    """Extend ``graph`` by the gradients of its leaves.

    Args:
        outputs: a node of the forward pass to the node that is its gradient; a node that
            is an output twice is given the sum.
        maps: from the leaf that a map returned to the node that is the map's argument and the
            name of the product that it belongs to.

    Returns:
        Leaf to the node of its gradient, for each leaf that the outputs depend on. The gradient
        of a map's argument is a leaf of kind ``a``, under the product's name.
    """
    count = len(graph.nodes)
    gradients: dict[int, int] = {}
    # Gradients of numbers, and of nodes computed from numbers only, are not needed; and those
    # that come from values of two widths could not be summed.
    constant: set[int] = set()
    for k, each in enumerate(graph.nodes):
        # A number has no arguments; a leaf has none either.
        if each.leaf.kind == "c" if each.leaf else constant.issuperset(each.args):
            constant.add(k)

    def accumulate(node: int, gradient: int) -> None:
        if node not in constant:
            known = gradients.get(node)
            gradients[node] = gradient if known is None else graph.op("add", known, gradient)

    for node, gradient in outputs.items():
        accumulate(node, gradient)
    found: dict[Leaf, int] = {}
    received_by: set[tuple[int, str]] = set()
    # A map's argument is an earlier node than what the map returned: reverse order works.
    for node in range(count - 1, -1, -1):
        if node not in gradients:
            continue
        current = graph.nodes[node]
        if current.leaf is not None:
            found[current.leaf] = gradients[node]
            if node in maps and maps[node] not in received_by:
                received_by.add(maps[node])
                argument, product = maps[node]
                accumulate(argument, graph.leaf("a", product))
        else:
            rule = OPERATIONS[current.op].gradient
            if rule is None:
                continue
            received = rule(*(Symbol(graph, k) for k in (gradients[node], node, *current.args)))
            parts = received if isinstance(received, tuple) else (received,)
            for arg, part in zip(current.args, parts, strict=True):
                if part is not None:
                    accumulate(arg, part.node)
    return found
