"""Runs a step on symbols, and so writes down what it computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from ..complex_numbers import Complex
from .derive import RULES
from .graph import Graph

__all__ = ["Symbol", "UntraceableError"]

#: What a torch function or method is called here.
_NAMES: dict[str, str] = {
    "log_sigmoid": "logsigmoid",
    "multiply": "mul",
    "divide": "div",
    "true_divide": "div",
    "subtract": "sub",
    "square": "square",
} | {name: name for name in RULES}
#: How many arguments an operation takes, where it is not one. A further one, such as the slope
#: of a leaky relu, would change what it computes.
_ARITY = dict.fromkeys(("add", "sub", "mul", "div", "maximum", "minimum"), 2)
_ARITY |= dict.fromkeys(("eq", "lt", "gt", "le", "ge"), 2) | {"where": 3}
#: What torch.nn.functional hands on although nobody asked for it.
_DEFAULTS = {"inplace": False, "alpha": 1.0, "negative_slope": 0.01}


class UntraceableError(Exception):
    """The step does something that has no rule; the message says what."""


class Symbol:
    """Stands for a tensor while a step is traced."""

    def __init__(self, graph: Graph, node: int) -> None:
        self.graph = graph
        self.node = node

    @classmethod
    def __torch_function__(
        cls,
        function: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Symbol:
        name = getattr(function, "__name__", str(function))
        if name not in _NAMES:
            raise UntraceableError(f"the function {name!r} has no rule")
        given = [key for key, value in (kwargs or {}).items() if _DEFAULTS.get(key) != value]
        if given:
            raise UntraceableError(f"{name!r} is called with {', '.join(given)}")
        return cls._apply(_NAMES[name], *args)

    @classmethod
    def _apply(cls, op: str, *args: Any) -> Symbol:
        if any(isinstance(arg, Complex) for arg in args):
            return NotImplemented  # type: ignore[no-any-return] # its own operator is asked next
        graph = next(arg.graph for arg in args if isinstance(arg, Symbol))
        if len(args) != _ARITY.get(op, 1):
            raise UntraceableError(f"{op!r} with {len(args)} arguments has no rule")
        if op == "square":
            return cls._apply("mul", args[0], args[0])
        nodes = [
            arg.node if isinstance(arg, Symbol) else graph.number(_number(op, arg)) for arg in args
        ]
        return cls(graph, graph.op(op, *nodes))

    def __getattr__(self, name: str) -> Callable[..., Symbol]:
        if name not in _NAMES:
            raise UntraceableError(f"the tensor attribute {name!r} has no rule")
        return lambda *args: self._apply(_NAMES[name], self, *args)

    def __bool__(self) -> bool:
        raise UntraceableError("a branch depends on the value of a tensor")

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

    def __pow__(self, exponent: object) -> Symbol:
        if exponent not in (2, 3):
            raise UntraceableError(f"the power {exponent!r} has no rule")
        square = self._apply("mul", self, self)
        return square if exponent == 2 else self._apply("mul", square, self)

    def __neg__(self) -> Symbol:
        return self._apply("neg", self)

    __hash__ = None  # type: ignore[assignment]


def _number(op: str, value: object) -> float:
    if isinstance(value, torch.Tensor) or not isinstance(value, int | float):
        raise UntraceableError(
            f"{op!r} takes a {type(value).__name__} that is no argument of the step"
        )
    return float(value)
