"""Writes a step that is affine in some values as a matrix for each unit and a rest.

``new_i = sum_j matrix[i, j] old_j + rest[i]``, where neither depends on ``old``. The backward pass
of every step is affine in the gradients that it passes on; the forward pass of a linear cell is
affine in its states.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .graph import Graph, Leaf
from .operations import OPERATIONS

__all__ = ["Affine", "affine"]

#: The parts of a node that is a sum: the factor of each old value, by its number; under None, the
#: part that depends on no old value.
_Parts = dict[int | None, int]


@dataclass(frozen=True)
class Affine:
    """The nodes of matrix and rest; a missing entry is zero."""

    size: int
    matrix: dict[tuple[int, int], int]
    rest: dict[int, int]

    def reached(self) -> list[tuple[int, int]]:
        """The entries that are not zero in some power of the matrix, the zeroth included."""
        found = {(i, i) for i in range(self.size)}
        while True:
            more = {(i, j) for i, k in self.matrix for k2, j in found if k == k2}
            if more <= found:
                return sorted(found)
            found |= more


def affine(graph: Graph, new: Sequence[int], old: Sequence[Leaf]) -> Affine | None:
    """Return how ``new`` depends on ``old``; None if it is not affine. Extends ``graph``.

    Args:
        graph: of the nodes.
        new: nodes, one for each old value.
        old: leaves of one kind. Any other leaf of their kind counts as unknown: a value that
            depends on it is not affine.
    """
    kinds = {leaf.kind for leaf in old}
    parts: dict[int, _Parts] = {}
    for node in graph.needed(new):
        current = graph.nodes[node]
        if current.leaf is not None and current.leaf.kind in kinds:
            if current.leaf not in old:
                return None
            parts[node] = {old.index(current.leaf): graph.number(1)}
        elif any(arg in parts for arg in current.args):
            found = _split(graph, current.op, current.args, parts)
            if found is None:
                return None
            parts[node] = found
    each = [parts.get(node, {None: node}) for node in new]
    matrix = {(i, j): node for i, p in enumerate(each) for j, node in p.items() if j is not None}
    return Affine(len(new), matrix, {i: p[None] for i, p in enumerate(each) if None in p})


def _split(graph: Graph, op: str, args: tuple[int, ...], parts: dict[int, _Parts]) -> _Parts | None:
    """Split an operation with at least one argument that depends on the old values."""
    depending = {place for place, arg in enumerate(args) if arg in parts}
    group = next((each for each in OPERATIONS[op].linear if depending <= set(each)), None)
    if group is None:
        return None
    of_each: list[_Parts] = [parts.get(arg, {None: arg}) for arg in args]
    if op == "add":
        return _joined(graph, *of_each)
    if op == "sub":
        minus = {key: graph.op("neg", node) for key, node in of_each[1].items()}
        return _joined(graph, of_each[0], minus)
    zero, found = graph.number(0), _Parts()
    for key in dict.fromkeys(key for place in group for key in of_each[place]):
        values = [of_each[k].get(key, zero) if k in group else arg for k, arg in enumerate(args)]
        found[key] = graph.op(op, *values)
    return found


def _joined(graph: Graph, first: _Parts, second: _Parts) -> _Parts:
    found = dict(first)
    for key, node in second.items():
        found[key] = graph.op("add", found[key], node) if key in found else node
    return found
