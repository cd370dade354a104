"""What a module computes of its parameters alone: once for a sequence, by torch."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, GraphModule, Node

__all__ = ["Fixed"]

_aten = torch.ops.aten
_t = _aten.t.default


class Fixed:
    """A graph whose arguments are a module's tensors, and which makes a kernel's parameters."""

    def __init__(self, shapes: Mapping[str, torch.Size]) -> None:
        self.graph = Graph()
        self.tensors = tuple(shapes)
        self.given = {
            name: self.graph.placeholder(f"p{k}_{name.replace('.', '_')}")
            for k, name in enumerate(shapes)
        }
        self._heights = {self.given[name]: shape[0] for name, shape in shapes.items() if len(shape)}
        self._known: dict[tuple[object, ...], Node] = {}
        self._made: dict[str, Node] = {}

    def call(self, target: Any, *args: Any, **kwargs: Any) -> Node:
        """Return the node of an operation; equal ones are one."""
        if target is _t and args[0].target is _t:
            return args[0].args[0]  # type: ignore[no-any-return]
        key = (target, repr(args), repr(kwargs))
        if key not in self._known:
            self._known[key] = self.graph.call_function(target, args, kwargs)
        return self._known[key]

    def rows(self, matrix: Node, start: int, stop: int, whole: int) -> Node:
        """Return some rows of a matrix."""
        if (start, stop) == (0, whole):
            return matrix
        return self.call(_aten.slice.Tensor, matrix, 0, start, stop)

    def origin(self, node: Node) -> tuple[Node, int]:
        """Return the tensor of which a node is some rows, and the first of them."""
        first = 0
        while (found := _cut(node)) is not None:
            node, start = found
            first += start
        return node, first

    def joined(self, parts: Sequence[tuple[Node, int, int, int]]) -> tuple[Node, int, int]:
        """Return a matrix that has rows of some matrices, one below the other.

        Args:
            parts: of each the matrix, its first row, the one after its last, and its height.

        Returns:
            The matrix, the first of the rows in it, and its height.
        """
        groups: list[tuple[Node, int, int, int]] = []
        for matrix, start, stop, whole in parts:
            base, first = self.origin(matrix)
            group = (base, first + start, first + stop, self._heights.get(base, first + whole))
            if groups and groups[-1][0] is base and groups[-1][2] == group[1]:
                group = (base, groups[-1][1], *group[2:])
                groups.pop()
            groups.append(group)
        if len(groups) == 1:
            matrix, start, _, whole = groups[0]
            return matrix, start, whole
        made = self.call(_aten.cat.default, [self.rows(*each) for each in groups])
        return made, 0, sum(stop - start for _, start, stop, _ in groups)

    def name(self, name: str, node: Node) -> str:
        """Hand a node out as a parameter of the kernel."""
        self._made[name] = node
        return name

    def function(self) -> Callable[[Mapping[str, Tensor]], dict[str, Tensor]]:
        """Return the function from the module's tensors, by name, to the kernel's parameters."""
        self.graph.output(tuple(self._made.values()))
        self.graph.eliminate_dead_code()
        names, tensors = tuple(self._made), self.tensors
        forward = GraphModule({}, self.graph).forward

        def compute(given: Mapping[str, Tensor]) -> dict[str, Tensor]:
            made = forward(*(given[name] for name in tensors))
            return dict(zip(names, made, strict=True))

        return compute


def _cut(node: Node) -> tuple[Node, int] | None:
    """Return of which tensor a node is adjacent rows, and the first of them; else ``None``."""
    source: Any = node.args[0] if node.args else None
    if node.target is _aten.slice.Tensor:
        given: list[Any] = list(node.args[1:])
        dim, start, _, step = given + [0, None, None, 1][len(given) :]
        first = start or 0
        return (source, first) if (dim, step) == (0, 1) and first >= 0 else None
    if node.target is not operator.getitem:
        return None
    place: Any = node.args[1]
    dim = source.args[2] if len(source.args) > 2 else 0
    if dim == 0 and source.target is _aten.split.Tensor:
        return source.args[0], place * source.args[1]
    if dim == 0 and source.target is _aten.split_with_sizes.default:
        return source.args[0], sum(source.args[1][:place])
    return None
