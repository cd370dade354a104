"""Runs a step on symbols to record what it computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.nn import functional

from ...complex_numbers import Complex
from ...declaration.step_contract import BRANCH
from .graph import Graph
from .operations import FUNCTIONS, OPERATIONS

__all__ = ["Symbol", "UntraceableError", "functions"]


def functions() -> list[str]:
    """Return the names of the functions of torch and torch.nn.functional that kernels support."""
    public = (name for name in FUNCTIONS if not name.startswith("_"))
    return sorted(name for name in public if hasattr(torch, name) or hasattr(functional, name))


class UntraceableError(Exception):
    """Raised for an operation of a step that has no rule; the message names it."""


class Symbol:
    """A stand-in for a tensor while a step is traced."""

    def __init__(self, graph: Graph, node: int) -> None:
        self.graph = graph
        self.node = node

    @property
    def number(self) -> float | None:
        """Its value, if it is known while the step is traced."""
        node = self.graph.nodes[self.node]
        return node.value if node.op == "number" else None

    @classmethod
    def __torch_function__(
        cls,
        function: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Symbol:
        name = getattr(function, "__name__", str(function))
        if name not in FUNCTIONS:
            raise UntraceableError(f"the function {name!r} has no rule")
        method = getattr(torch.Tensor, name, None) is function
        return cls._call(name, args, kwargs or {}, method)

    @classmethod
    def _call(
        cls, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], method: bool
    ) -> Symbol:
        row = FUNCTIONS[name]
        try:
            values = row.arguments(args, kwargs, method)
            meant = None if row.means is None else row.means(**values)
        except TypeError as error:
            raise UntraceableError(f"no rule covers this call of {name!r}: {error}") from error
        if meant is None:
            return cls._apply(row.name, *list(values.values())[: len(row.takes)])
        if isinstance(meant, Symbol):
            return meant
        graph = next(each.graph for each in values.values() if isinstance(each, Symbol))
        return cls(graph, graph.number(_number(name, meant)))

    @classmethod
    def _apply(cls, op: str, *args: Any) -> Symbol:
        """A node of the graph."""
        if any(isinstance(arg, Complex) for arg in args):
            return NotImplemented  # type: ignore[no-any-return] # its own operator is asked next
        graph = next(arg.graph for arg in args if isinstance(arg, Symbol))
        nodes = [
            arg.node if isinstance(arg, Symbol) else graph.number(_number(op, arg)) for arg in args
        ]
        compares = [_compares(graph, node) for node in nodes]
        for place, is_one in enumerate(compares):
            due = place in OPERATIONS[op].conditions
            if op == "mul" and is_one and not all(compares):  # a mask
                nodes[place] = graph.op("where", nodes[place], graph.number(1), graph.number(0))
            elif is_one is not due:
                given, wanted = ("comparison", "number")[:: -1 if due else 1]
                raise UntraceableError(f"{op!r} takes a {wanted}, not a {given}")
        return cls(graph, graph.op(op, *nodes))

    def __getattr__(self, name: str) -> Callable[..., Symbol]:
        if name not in FUNCTIONS or not hasattr(torch.Tensor, name):
            raise UntraceableError(f"the tensor attribute {name!r} has no rule")
        return lambda *args, **kwargs: self._call(name, (self, *args), kwargs, method=True)

    def __bool__(self) -> bool:
        raise UntraceableError(f"its step has {BRANCH}")

    def __add__(self, other: object) -> Symbol:
        return self._apply("add", self, other)

    def __radd__(self, other: object) -> Symbol:
        return self._apply("add", other, self)

    def __sub__(self, other: object) -> Symbol:
        return self._apply("sub", self, other)

    def __rsub__(self, other: object) -> Symbol:
        return self._apply("sub", other, self)

    def __mul__(self, other: object) -> Symbol:
        return self._apply("mul", self, other)

    def __rmul__(self, other: object) -> Symbol:
        return self._apply("mul", other, self)

    def __truediv__(self, other: object) -> Symbol:
        return self._apply("div", self, other)

    def __rtruediv__(self, other: object) -> Symbol:
        return self._apply("div", other, self)

    def __eq__(self, other: object) -> Symbol:  # type: ignore[override]
        return self._apply("eq", self, other)

    def __lt__(self, other: object) -> Symbol:
        return self._apply("lt", self, other)

    def __gt__(self, other: object) -> Symbol:
        return self._apply("gt", self, other)

    def __le__(self, other: object) -> Symbol:
        return self._apply("le", self, other)

    def __ge__(self, other: object) -> Symbol:
        return self._apply("ge", self, other)

    def __ne__(self, other: object) -> Symbol:  # type: ignore[override]
        return self._apply("ne", self, other)

    def __and__(self, other: object) -> Symbol:
        return self._apply("logical_and", self, other)

    def __or__(self, other: object) -> Symbol:
        return self._apply("logical_or", self, other)

    def __invert__(self) -> Symbol:
        return self._apply("logical_not", self)

    def __pow__(self, exponent: object) -> Symbol:
        return self._call("pow", (self, exponent), {}, method=True)

    def __rpow__(self, base: object) -> Symbol:
        return self._call("pow", (base, self), {}, method=False)

    def __abs__(self) -> Symbol:
        return self._apply("abs", self)

    def __neg__(self) -> Symbol:
        return self._apply("neg", self)

    def __pos__(self) -> Symbol:
        return self

    __hash__ = None  # type: ignore[assignment]


def _compares(graph: Graph, node: int) -> bool:
    """Whether a node is true or false rather than a number."""
    row = OPERATIONS.get(graph.nodes[node].op)  # none: a leaf or a number
    return row is not None and row.compares


def _number(op: str, value: object) -> float:
    if isinstance(value, torch.Tensor) or not isinstance(value, int | float):
        raise UntraceableError(
            f"{op!r} takes a {type(value).__name__} that is no argument of the step"
        )
    return float(value)
