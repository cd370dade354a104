"""A step as a graph of elementwise operations, which tracing fills and derivation extends.

Equal expressions are one node, so each value that the backward pass recomputes is computed once.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass, field

__all__ = ["Graph", "Leaf", "Node"]


@dataclass(frozen=True)
class Leaf:
    """A value from outside; ``kind`` says where it lies.

    z: an affine argument of the step; s: a state before the step; m: the result of a map;
    v: a number for each unit; c: a number for all; x: the raw input, or the time since the step
    before, one number for a sequence; d: a factor for each unit of a sequence; k: whether a state
    stays what it is; b: a flag, such as whether a sequence begins anew, one number for a sequence;
    in the backward pass also g: the gradient of a new state; y: of the output; a: of a map's
    argument.
    """

    kind: str
    name: str


@dataclass(frozen=True)
class Node:
    """An operation on earlier nodes, a leaf, or a number."""

    op: str
    args: tuple[int, ...] = ()
    leaf: Leaf | None = None
    value: float = 0.0


@dataclass
class Graph:
    """Nodes in an order in which they can be computed.

    Attributes:
        nodes: the nodes, each after its arguments.
        complete: no node may be added; existing ones can still be looked up.
    """

    nodes: list[Node] = field(default_factory=list)
    _index: dict[Node, int] = field(default_factory=dict)
    complete: bool = False

    def _add(self, node: Node) -> int:
        if node not in self._index:
            if self.complete:
                raise RuntimeError(f"this graph is complete and has no {node}")
            self._index[node] = len(self.nodes)
            self.nodes.append(node)
        return self._index[node]

    def leaf(self, kind: str, name: str) -> int:
        return self._add(Node("leaf", leaf=Leaf(kind, name)))

    def number(self, value: float) -> int:
        return self._add(Node("number", value=float(value)))

    def op(self, op: str, *args: int) -> int:
        """Return the node of an operation; some on numbers, or with a factor 1, are folded."""
        numbers = [self.nodes[a].value if self.nodes[a].op == "number" else None for a in args]
        match op, numbers:
            case "mul", [1.0, _]:
                return args[1]
            case "mul" | "div", [_, 1.0]:
                return args[0]
            case "neg", [float() as value]:
                return self.number(-value)
            case "add", [float() as first, float() as second]:
                return self.number(first + second)
            case "sub", [float() as first, float() as second]:
                return self.number(first - second)
            case "mul", [float() as first, float() as second]:
                return self.number(first * second)
        return self._add(Node(op, args))

    def copy(self) -> Graph:
        """Return a graph of the same nodes that can be extended independently."""
        return Graph(list(self.nodes), dict(self._index))

    def needed(self, outputs: Iterable[int], given: Container[int] = ()) -> list[int]:
        """Return ``outputs`` and the nodes that they depend on, in order.

        Args:
            outputs: nodes.
            given: nodes whose own dependencies are left out.
        """
        seen: set[int] = set()
        stack = list(outputs)
        while stack:
            node = stack.pop()
            if node not in seen:
                seen.add(node)
                stack.extend(() if node in given else self.nodes[node].args)
        return sorted(seen)
