"""Reads a captured graph: each operation of torch moves numbers, multiplies, or is a row."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from ...across import ACROSS
from ..ir.operations import FUNCTIONS
from ..ir.trace import UntraceableError
from .capture import Call, Captured, named, results
from .fixed import Fixed
from .values import (
    Applied,
    Constant,
    Given,
    Joined,
    Own,
    Product,
    Single,
    Sources,
    Value,
    is_own,
    nodes_of,
    places_of,
    values_of,
)  # fmt: skip

__all__ = ["Reading"]

_aten = torch.ops.aten
_add = torch.ops.aten.add.Scalar

#: Operations that only move numbers.
_MOVES = {
    "_reshape_alias", "_unsafe_view", "alias", "cat", "chunk", "clone", "contiguous", "expand",
    "flatten", "flip", "lift", "lift_fresh", "lift_fresh_copy", "narrow", "permute", "repeat",
    "reshape", "select", "select_scatter", "slice", "slice_scatter", "split", "split_with_sizes",
    "squeeze", "stack", "t", "tile", "transpose", "unbind", "unflatten", "unsafe_chunk",
    "unsafe_split", "unsafe_split_with_sizes", "unsqueeze", "view",
}  # fmt: skip
#: Operations that make a tensor of one number.
_FILLS = {
    "zeros": 0.0, "zeros_like": 0.0, "new_zeros": 0.0,
    "ones": 1.0, "ones_like": 1.0, "new_ones": 1.0,
    "full": None, "full_like": None, "new_full": None, "scalar_tensor": None,
}  # fmt: skip


class Reading:
    """The values of a captured graph.

    Attributes:
        sources: of all numbers.
        fixed: what is computed from the module's tensors alone.
        output: the value of the output.
        states: those of the new states.
    """

    def __init__(self, captured: Captured, call: Call) -> None:
        self.batch = captured.batch
        self.sources = Sources(captured.batch)
        own = named(captured)
        self.fixed = Fixed({name: node.meta["val"].shape for name, node in own.items()})
        self._values: dict[Node, Any] = {}
        for name, node in own.items():
            self._values[node] = self._own(self.fixed.given[name], node.meta["val"].shape)
        placeholders = [n for n in captured.graph.graph.nodes if n.op == "placeholder"]
        data, *states = placeholders[len(own) :]
        self._values[data] = self._given("input", data)
        for k, node in enumerate(states):
            self._values[node] = self._given(f"{k}", node)
        for node in captured.graph.graph.nodes:
            if node.op == "get_attr":
                self._values[node] = self._constant(getattr(captured.graph, str(node.target)))
            elif node.op == "call_function":
                self._values[node] = self._read(node)
        self.output, *self.states = (self._values[node] for node in results(captured))

    def _own(self, node: Node, shape: torch.Size) -> Value:
        units = self.sources.add(Own(node, shape.numel(), len(shape)))
        return Value(units.view(shape), node)

    def _given(self, name: str, node: Node) -> Value:
        shape = node.meta["val"].shape
        return self.sources.batched(Given(name, shape[1:].numel()), shape)

    def _number(self, number: float, shape: torch.Size) -> Value:
        return Value(self.sources.add(Constant(number)).view((1,) * len(shape)).expand(shape))

    def _constant(self, tensor: Tensor) -> Value:
        if tensor.dim() or isinstance(tensor, torch._subclasses.FakeTensor):
            raise UntraceableError("its forward reads a tensor that is no parameter and no buffer")
        return self._number(float(tensor), tensor.shape)

    def _read(self, node: Node) -> Any:
        args: Any = torch.fx.node.map_arg(node.args, self._values.__getitem__)
        kwargs: Any = torch.fx.node.map_arg(node.kwargs, self._values.__getitem__)
        if node.target is operator.getitem:
            return args[0][args[1]]
        target: Any = node.target
        name = target._schema.name.rpartition("::")[2]
        shape = _shape(node)
        if name in _FILLS:
            fill = _FILLS[name]
            if fill is None:
                numbers = [each for each in args if isinstance(each, int | float)]
                fill = kwargs.get("fill_value", numbers[-1] if numbers else None)
            if not isinstance(fill, int | float):
                raise UntraceableError(f"{name!r} is filled with no number")
            return self._number(fill, shape)
        if is_own((args, kwargs)) and self.batch not in shape:
            made = self._from_own(target, args, kwargs, node)
            return _moved_too(made, self._moved(target, args, kwargs)) if name in _MOVES else made
        if not values_of((args, kwargs)) and self.batch not in shape and self.fixed.given:
            like = next(iter(self.fixed.given.values()))
            return self._own(self.fixed.call(_beside, target, args, kwargs, like), shape)
        if name in _MOVES:
            return self._moved(target, args, kwargs)
        if name == "_to_copy":
            return self._cast(args[0], node)
        reader = getattr(self, "_" + name.lstrip("_"), None)
        if reader is not None:
            return reader(shape, *args, **kwargs)
        return self._apply(name, shape, *args, **kwargs)

    def _from_own(self, target: Any, args: Any, kwargs: Any, node: Node) -> Any:
        made = self.fixed.call(target, *nodes_of(args), **nodes_of(kwargs))
        value = node.meta["val"]
        if isinstance(value, Tensor):
            return self._own(made, value.shape)
        return [
            self._own(self.fixed.call(operator.getitem, made, k), each.shape)
            for k, each in enumerate(value)
        ]

    def _moved(self, target: Any, args: Any, kwargs: Any) -> Any:
        made = target(*places_of(args), **places_of(kwargs))
        return [Value(each) for each in made] if isinstance(made, list | tuple) else Value(made)

    def _cast(self, value: Value, node: Node) -> Value:
        source: Any = node.args[0]
        before, after = source.meta["val"].dtype, node.meta["val"].dtype
        if before == after:
            return value
        if before is torch.bool and after.is_floating_point:
            return self._apply("where", _shape(node), value, 1.0, 0.0)
        raise UntraceableError(f"its forward converts {before} to {after}")

    def _apply(self, name: str, shape: torch.Size, *args: Any, **kwargs: Any) -> Value:
        """An elementwise operation."""
        if name not in FUNCTIONS:
            raise UntraceableError(f"the operation {name!r} has no rule")
        given = tuple(self._argument(name, shape, each) for each in args)
        options = {key: self._argument(name, shape, each) for key, each in kwargs.items()}
        if not shape or shape[0] != self.batch:
            raise UntraceableError(f"{name!r} is applied to something else than a row of units")
        return self.sources.batched(Applied(name, given, options, shape[1:].numel()), shape)

    def _argument(self, name: str, shape: torch.Size, value: Any) -> Any:
        if not isinstance(value, Value):
            return value
        return self.sources.units(value.places.broadcast_to(shape), name)

    # Operations that are rows under another name, or composed of rows.

    def _add(self, shape: torch.Size, a: Any, b: Any, alpha: float = 1) -> Value:
        return self._apply(
            "add", shape, a, b if alpha == 1 else self._apply("mul", shape, b, alpha)
        )

    def _sub(self, shape: torch.Size, a: Any, b: Any, alpha: float = 1) -> Value:
        return self._apply(
            "sub", shape, a, b if alpha == 1 else self._apply("mul", shape, b, alpha)
        )

    def _rsub(self, shape: torch.Size, a: Any, b: Any, alpha: float = 1) -> Value:
        return self._sub(shape, b, a, alpha)

    def _addcmul(self, shape: torch.Size, a: Any, b: Any, c: Any, value: float = 1) -> Value:
        return self._add(shape, a, self._apply("mul", shape, b, c), value)

    def _addcdiv(self, shape: torch.Size, a: Any, b: Any, c: Any, value: float = 1) -> Value:
        return self._add(shape, a, self._apply("div", shape, b, c), value)

    def _elu(
        self, shape: torch.Size, a: Any, alpha: float = 1, scale: float = 1, input_scale: float = 1
    ) -> Value:
        if input_scale == 1:
            made = self._apply("elu", shape, a, alpha)
        elif math.isclose(alpha * input_scale, 1):
            made = self._apply("celu", shape, a, alpha)
        else:
            raise UntraceableError("no rule covers this call of 'elu'")
        return made if scale == 1 else self._apply("mul", shape, made, scale)

    def _log_sigmoid_forward(self, shape: torch.Size, a: Any) -> list[Value]:
        return [self._apply("logsigmoid", shape, a)]

    # Products.

    def _mm(self, shape: torch.Size, a: Value, b: Value) -> Value:
        if b.own is None and a.own is not None:  # the matrix is on the left
            matrix = Value(a.places.t(), self.fixed.call(_aten.t.default, a.own))
            return Value(self._mm(shape[::-1], Value(b.places.t()), matrix).places.t())
        if b.own is None:
            raise UntraceableError("its forward multiplies two values that both change in time")
        units = self.sources.units(a.places, "mm")
        return self.sources.batched(Product(units, b.own, b.places.size(1)), shape)

    def _bmm(self, shape: torch.Size, a: Value, b: Value) -> Value:
        """Products of several values, each with a matrix of its own."""
        if b.own is None or a.places.size(1) != self.batch:
            raise UntraceableError("its forward multiplies two values that both change in time")
        made = [
            self._mm(
                shape[1:],
                Value(a.places[k]),
                Value(b.places[k], self.fixed.call(_aten.select.int, b.own, 0, k)),
            )
            for k in range(shape[0])
        ]
        return Value(torch.stack([each.places for each in made]))

    def _addmm(
        self, shape: torch.Size, bias: Value, a: Value, b: Value, beta: float = 1, alpha: float = 1
    ) -> Value:
        if beta != 1 or alpha != 1:
            raise UntraceableError("no rule covers this call of 'addmm'")
        return self._apply("add", shape, self._mm(shape, a, b), bias)

    # Averages and their like over the units.

    def _mean(
        self, shape: torch.Size, a: Value, dim: Sequence[int] = (), keepdim: bool = False, **_: Any
    ) -> Value:
        return self._single("mean", "average", shape, a, dim)

    def _sum(
        self, shape: torch.Size, a: Value, dim: Sequence[int] = (), keepdim: bool = False, **_: Any
    ) -> Value:
        parts = {(1,): "folded", (2,): "grouped"}
        over = tuple(each % 3 for each in dim)
        if a.places.dim() == 3 and over in parts and not keepdim:
            units = self.sources.units(a.places, "sum")
            return self.sources.batched(Joined(ACROSS[parts[over]], units, shape[-1]), shape)
        return self._single("sum", "total", shape, a, dim)

    def _amax(
        self, shape: torch.Size, a: Value, dim: Sequence[int] = (), keepdim: bool = False
    ) -> Value:
        """Without a gradient; where a module has one, the proof finds that it is missing."""
        return self._single("amax", "largest", shape, a, dim)

    def _softmax(self, shape: torch.Size, a: Value, dim: int, *_: Any) -> Value:
        rows = torch.Size((shape[0], 1))
        largest = self._single("softmax", "largest", rows, a, (dim,))
        powers = self._apply("exp", shape, self._apply("sub", shape, a, largest))
        return self._apply("div", shape, powers, self._sum(rows, powers, (dim,)))

    def _cumsum(self, shape: torch.Size, a: Value, dim: int, dtype: Any = None) -> Value:
        if a.places.dim() != 2 or dim % 2 != 1:
            raise UntraceableError("'cumsum' has a rule over the units of each sequence only")
        units = self.sources.units(a.places, "cumsum")
        return self.sources.batched(Joined(ACROSS["cumulative"], units, len(units)), shape)

    def _single(
        self, name: str, across: str, shape: torch.Size, a: Value, dim: Sequence[int]
    ) -> Value:
        if a.places.dim() != 2 or [each % 2 for each in dim] != [1]:
            raise UntraceableError(f"{name!r} has a rule over the units of each sequence only")
        units = self.sources.units(a.places, name)
        return self.sources.batched(Single(ACROSS[across], units), shape)

    def _native_layer_norm(
        self, shape: torch.Size, a: Value, over: Sequence[int], weight: Any, bias: Any, eps: float
    ) -> list[Value]:
        if list(over) != list(shape[1:]) or len(shape) != 2:
            raise UntraceableError("'layer_norm' has a rule over all units of a value only")
        rows = torch.Size((shape[0], 1))
        centred = self._apply("sub", shape, a, self._mean(rows, a, (1,), True))
        squares = self._apply("mul", shape, centred, centred)
        variance = self._apply("add", shape, self._mean(rows, squares, (1,), True), eps)
        made = self._apply("div", shape, centred, self._apply("sqrt", shape, variance))
        made = made if weight is None else self._apply("mul", shape, made, weight)
        return [made if bias is None else self._apply("add", shape, made, bias)]

    def _native_batch_norm(
        self,
        shape: torch.Size,
        a: Value,
        weight: Any,
        bias: Any,
        mean: Value,
        var: Value,
        training: bool,
        momentum: float,
        eps: float,
    ) -> list[Value]:
        """In evaluation: an affine function of each unit."""
        if training or mean.own is None or var.own is None:
            raise UntraceableError("its forward normalises over the sequences of a batch")
        units = var.places.shape
        scale = self.fixed.call(_aten.rsqrt.default, self.fixed.call(_add, var.own, eps))
        centred = self._apply("sub", shape, a, mean)
        made = self._apply("mul", shape, centred, self._own(scale, units))
        made = made if weight is None else self._apply("mul", shape, made, weight)
        return [made if bias is None else self._apply("add", shape, made, bias)]


def _moved_too(made: Any, moved: Any) -> Any:
    """The module's own numbers where a move has left them, so that they are read from there."""
    if isinstance(made, list):
        return [_moved_too(*each) for each in zip(made, moved, strict=True)]
    return Value(moved.places, made.own)


def _beside(target: Any, args: Any, kwargs: Any, like: Tensor) -> Tensor:
    """A tensor that depends on nothing, such as the identity, on the device of another one."""
    made: Tensor = target(*args, **kwargs)
    return made.to(like.device)


def _shape(node: Node) -> torch.Size:
    value = node.meta["val"]
    first = value if isinstance(value, Tensor) else value[0]
    return first.shape
