"""What a module computes of its parameters alone: once for a sequence, by torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, GraphModule, Node

__all__ = ["Fixed"]

_t = torch.ops.aten.t.default


class Fixed:
    """A graph whose arguments are a module's tensors, and which makes a kernel's parameters."""

    def __init__(self, shapes: Mapping[str, torch.Size]) -> None:
        self.graph = Graph()
        self.tensors = tuple(shapes)
        self.given = {
            name: self.graph.placeholder(f"p{k}_{name.replace('.', '_')}")
            for k, name in enumerate(shapes)
        }
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
        return self.call(torch.ops.aten.slice.Tensor, matrix, 0, start, stop)

    def joined(self, parts: Sequence[tuple[Node, int, int, int]]) -> Node:
        """Return rows of some matrices, one below the other; neighbours are taken together.

        Args:
            parts: of each the matrix, its first and its last row, and how many it has.
        """
        groups: list[tuple[Node, int, int, int]] = []
        for matrix, start, stop, whole in parts:
            if groups and groups[-1][0] is matrix and groups[-1][2] == start:
                groups[-1] = (matrix, groups[-1][1], stop, whole)
            else:
                groups.append((matrix, start, stop, whole))
        made = [self.rows(*group) for group in groups]
        return made[0] if len(made) == 1 else self.call(torch.ops.aten.cat.default, made)

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
