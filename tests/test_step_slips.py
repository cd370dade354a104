"""Slips of a step's author: numbers where tensors are due, branches, options without a type."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, tanh

from torchrecurrent import BaseRecurrentCell, Recurrent, backend
from torchrecurrent.activations import Activation
from torchrecurrent.declaration.options import constructor_signature
from torchrecurrent.declaration.step_contract import BranchError, StepError
from torchrecurrent.roles import (
    CellMap,
    Constant,
    ConstantRole,
    Delayed,
    Gate,
    Map,
    MapRole,
    MapsRole,
    Nonlinearity,
    Norm,
    NormRole,
    Scalar,
    State,
)

from .making import assert_same, make
from .spoilt import changed, is_rehearsal, reals, written


def maps_of(kind: type[BaseRecurrentCell], norms: bool = False) -> Iterator[tuple[str, str, str]]:
    """The maps that a step is given: the argument, the map, and which option its columns are."""
    for argument in kind.signature.written:
        match argument.role:
            case MapRole(columns=columns):
                yield argument.name, argument.name, columns
            case MapsRole(layers=layers, first=first, columns=columns):
                if first < getattr(make(kind), layers):
                    yield argument.name, f"{argument.name}{first}", columns
            case NormRole() if norms:
                yield argument.name, argument.name, ""


def applying(kind: type[BaseRecurrentCell], name: str, value: Any) -> type[BaseRecurrentCell]:
    """A cell whose step applies one of its maps to a number, or to what a function makes of h."""
    place = [argument.name for argument in kind.signature.written].index(name)

    @functools.wraps(kind.step)
    def step(*arguments: Any) -> Any:
        given = arguments[place]
        apply = given[0] if isinstance(given, tuple) else given
        if not is_rehearsal(arguments) or not callable(value):
            apply(value(reals(arguments)[0]) if callable(value) else value)
        return kind.step(*arguments)

    return type("SpoiltCell", (kind,), {"step": staticmethod(step)})


def test_a_map_of_a_number(cell_class: type[BaseRecurrentCell]) -> None:
    for argument, name, _ in maps_of(cell_class, norms=True):
        with pytest.raises(StepError) as caught:
            applying(cell_class, argument, 0.5)
        assert str(caught.value) == (
            f"SpoiltCell.step: the map {name!r} is applied to a number; expected a value with a "
            "number for each unit"
        )


def test_a_map_of_a_value_of_another_width(cell_class: type[BaseRecurrentCell]) -> None:
    """It would be taken for several blocks, or for none."""
    for argument, name, columns in maps_of(cell_class):
        kind = applying(cell_class, argument, lambda h: h.repeat(1, 7))
        cell = make(kind, dtype=torch.float32)
        layer = Recurrent(cell, cell.input_size, cell.hidden_size)
        for call, shape in ((cell, (2,)), (layer, (3, 2)), (layer.explain, (3, 2))):
            with pytest.raises(StepError) as caught:
                call(torch.randn(*shape, cell.input_size))
            assert str(caught.value) == (
                f"SpoiltCell.step: the map {name!r} is applied to a value of the width "
                f"{7 * cell.state_widths[0]}, expected {getattr(cell, columns)}"
            )


def constant_state(h: State, n: Gate, c: Constant) -> Tensor:
    return c  # type: ignore[return-value]


def map_of_constant(h: State, n: Gate, c: Constant, U: Map) -> Tensor:
    return n + U(c)  # type: ignore[arg-type]


def map_of_scalar(h: State, n: Gate, v: Scalar, U: CellMap) -> Tensor:
    return n + U(2 * v)


def norm_of_number(h: State, n: Gate, N: Norm) -> Tensor:
    return n + N(0.5)[0]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (constant_state, "the new state 'h' should be a Tensor, got: float"),
        (map_of_constant, "the map 'U' is applied to a number; expected"),
        (map_of_scalar, "the map 'U' is applied to a number; expected"),
        (norm_of_number, "the map 'N' is applied to a number; expected"),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_a_number_in_a_tensors_place(step: Callable[..., Any], said: str) -> None:
    options = {"cell_kernel_init": "ones", "cell_bias_init": "ones", "cell_bias": True}
    with pytest.raises(StepError) as caught:
        written(step, c=0.5, v_init=1.0, **options)
    assert str(caught.value).startswith(f"BadCell.step: {said}")


@pytest.mark.parametrize("kind", ["if", "while", "and", "max"])
def test_a_branch_on_a_value(cell_class: type[BaseRecurrentCell], kind: str) -> None:
    def branch(value: Any) -> Any:
        if kind == "if":
            return -value if value > 0 else value
        if kind == "while":
            while value > 1:
                value = value / 2
            return value
        if kind == "and":
            return value if 0 < value < 1 else -value
        return max(value, -value)

    spoilt = changed(cell_class, lambda values: (branch(values[0]), *values[1:]), False)
    cell = make(spoilt, dtype=torch.float32)
    layer = Recurrent(cell, cell.input_size, cell.hidden_size)
    input = torch.randn(3, 2, cell.input_size)
    said = (
        "has a branch on a tensor's value, which differs from unit to unit; torch.where(condition"
    )
    assert f"): reference: its step {said}" in layer.explain(input)
    for path in ("auto", "reference"):
        with backend(path), pytest.raises(BranchError) as caught:
            layer(input)
        assert str(caught.value).startswith(f"SpoiltCell.step {said}")


def test_an_option_without_a_type(cell_class: type[BaseRecurrentCell]) -> None:
    """The class has a value for it, which is no option: it says so where the step needs one."""
    of_all = constructor_signature(BaseRecurrentCell, BaseRecurrentCell).parameters
    fields = inspect.signature(cell_class).parameters
    own = {name: field for name, field in fields.items() if name not in of_all}
    properties = {
        name: value
        for owner in reversed(cell_class.__mro__)
        for name, value in vars(owner).items()
        if isinstance(value, property) and not hasattr(BaseRecurrentCell, name)
    }
    body = {name: field.default for name, field in own.items()} | properties
    for argument in cell_class.signature.having(ConstantRole):
        name = argument.name
        if name in properties:  # it follows from other options
            continue
        types = {each: field.annotation for each, field in own.items() if each != name}
        spoilt = {**body, "step": staticmethod(cell_class.step), "__annotations__": types}
        with pytest.raises(TypeError) as caught:
            type("BadCell", (BaseRecurrentCell,), spoilt)
        assert str(caught.value) == (
            f"BadCell.step: argument {name!r} needs the option {name!r}; annotate it: "
            f"{name}: float = {own[name].default!r}"
        )


def test_the_type_that_an_option_is_annotated_with() -> None:
    def step(h: State, d: Delayed, n: Gate, f: Nonlinearity, v: Scalar, N: Norm) -> Tensor:
        return f(N(n + v * d)[0])

    options: dict[str, Any] = {"delay": 3, "f": "tanh", "v_init": 0.5}
    types: dict[str, Any] = {"delay": int, "f": Activation, "v_init": float}
    said = {"delay": "int", "f": "Activation", "v_init": "float"}
    for name, value in options.items():
        kept = {each: kind for each, kind in types.items() if each != name}
        body = {**options, "step": staticmethod(step), "__annotations__": kept}
        with pytest.raises(TypeError) as caught:
            type("BadCell", (BaseRecurrentCell,), body)
        assert str(caught.value).endswith(f"; annotate it: {name}: {said[name]} = {value!r}")


def test_the_absolute_value_of_a_symbol() -> None:
    class AbsoluteCell(BaseRecurrentCell):
        @staticmethod
        def step(h: State, n: Gate) -> Tensor:
            return abs(tanh(n + h)) - 0.5

    layer = Recurrent(make(AbsoluteCell), 3, 4)
    input = torch.randn(5, 2, 3, dtype=torch.float64)
    assert ": c: " in layer.explain(input)
    with backend("reference"):
        expected = layer(input)
    assert_same(layer(input), expected)
