"""What each value of a step depends on, as far as a loop over units and steps has to know."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..step_contract import Dependence
from .graph import Graph
from .plan import Map, Vector

__all__ = ["dependences"]


def dependences(
    graph: Graph, vectors: Mapping[str, Vector], maps: Iterable[Map]
) -> list[Dependence]:
    """The dependence of each node of a traced step.

    Args:
        graph: the step.
        vectors: its learned numbers, by the name of their leaf.
        maps: what it applies, each with the node of its argument.
    """
    mapped = {name: each.argument for each in maps for name in each.names}
    found: list[Dependence] = []
    for node in graph.nodes:
        leaf = node.leaf
        if leaf is None:
            found.append(max((found[arg] for arg in node.args), default=Dependence.NUMBER))
        elif leaf.kind == "c" or (leaf.kind == "v" and vectors[leaf.name].scalar):
            found.append(Dependence.NUMBER)
        elif leaf.kind == "v":
            found.append(Dependence.UNIT)
        elif leaf.kind == "m":
            found.append(max(found[mapped[leaf.name]], Dependence.UNIT))
        else:
            found.append(Dependence.SEQUENCE)
    return found
