"""A number from outside a step is part of the kernel; what may change unseen has no kernel."""

from __future__ import annotations

import functools
import math
import types
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import pytest
import torch
from torch import Tensor, nn, tanh
from torch.nn import functional

from torchrecurrent import BaseRecurrentCell, Recurrent, backend
from torchrecurrent.engine.program.outside import Outside
from torchrecurrent.engine.run.kernels import Fused, fused
from torchrecurrent.roles import Gate, Nonlinearity, State

from .making import assert_same, gradients, make
from .spoilt import written

SCALE = 0.5
config = types.SimpleNamespace(scale=0.5, table={"scale": 0.5}, rates=types.SimpleNamespace(a=0.5))
module = types.ModuleType("settings")
module.scale = 0.5  # type: ignore[attr-defined]
table = {"scale": 0.5}
pair = (1.0, 0.5)
weight = torch.tensor(0.5)


def set_scale(value: float) -> None:
    """Change every number that a step of this file reads from outside."""
    global SCALE, pair, weight
    SCALE, pair, weight = value, (1.0, value), torch.tensor(value)
    config.scale = config.table["scale"] = config.rates.a = table["scale"] = value
    module.scale = value  # type: ignore[attr-defined]
    Class.scale = Holder.values[0] = value
    scaled_by_default.__defaults__ = (value,)
    assert scaled_by_keyword.__kwdefaults__ is not None
    scaled_by_keyword.__kwdefaults__["scale"] = value
    leaky.negative_slope = value
    set_closure(value)


@pytest.fixture(autouse=True)
def first_scale() -> None:
    set_scale(0.5)


def scaled(value: Tensor) -> Tensor:
    return SCALE * value


def scaled_by_default(value: Tensor, scale: float = 0.5) -> Tensor:
    return scale * value


def scaled_by_keyword(value: Tensor, *, scale: float = 0.5) -> Tensor:
    return scale * value


class Class:
    """Has a number and a function."""

    scale = 0.5

    @staticmethod
    def scaled(value: Tensor) -> Tensor:
        return Class.scale * value

    def method(self, value: Tensor) -> Tensor:
        return self.scale * value


class Holder:
    """Has a list."""

    values: ClassVar[list[float]] = [0.5]

    def method(self, value: Tensor) -> Tensor:
        return self.values[0] * value


class Pair(NamedTuple):
    """Has a property."""

    first: Any
    second: Any

    @property
    def product(self) -> Any:
        return self.first * self.second


instance = Class()
leaky = nn.LeakyReLU(0.5)


def closure() -> tuple[Callable[[Any], Any], Callable[[float], None]]:
    scale = 0.5

    def scaled_by_closure(value: Any) -> Any:
        return scale * value

    def setter(value: float) -> None:
        nonlocal scale
        scale = value

    return scaled_by_closure, setter


scaled_by_closure, set_closure = closure()

#: Functions that depend on a number from outside, of which a kernel can tell that it changed.
SEEN: dict[str, Callable[[Any], Any]] = {
    "a global": lambda value: SCALE * value,
    "a branch on it": lambda value: value if SCALE < 1 else -value,
    "of a function that is called": scaled,
    "a closure": scaled_by_closure,
    "a default": scaled_by_default,
    "a keyword's default": scaled_by_keyword,
    "an attribute of an object": lambda value: config.scale * value,
    "an attribute of an attribute": lambda value: config.rates.a * value,
    "an attribute of a module": lambda value: module.scale * value,
    "a class": lambda value: Class.scale * value,
    "of a static method": lambda value: Class.scaled(value),
    "of an object that the step makes": lambda value: Class().method(value),
    "of a named tuple": lambda value: Pair(value, SCALE).product,
    "an item of a tuple": lambda value: pair[1] * value,
    "within an inner function": lambda value: (lambda each: SCALE * each)(value),
    "within a comprehension": lambda value: next(SCALE * each for each in (value,)),
    "beside constants of mathematics": lambda value: SCALE * math.pi * value / math.e,
    "of a partial": functools.partial(lambda factor, value: SCALE * factor * value, 2.0),
    "of an activation of torch": lambda value: SCALE * functional.leaky_relu(value),
}
#: The same, of which it can't, by what is said of it.
UNSEEN: dict[str, Callable[[Any], Any]] = {
    "'table' (dict)": lambda value: table["scale"] * value,
    "'config.table' (dict)": lambda value: config.table["scale"] * value,
    "'weight' (Tensor)": lambda value: float(weight) * value,
    "'instance.method' (method)": lambda value: instance.method(value),
    "'Holder.values' (list)": lambda value: Holder().method(value),
    "'globals'": lambda value: globals()["SCALE"] * value,
    "'config' (SimpleNamespace)": lambda value: getattr(config, "sca" + "le") * value,
}


def activated(function: Callable[[Any], Any]) -> type[BaseRecurrentCell]:
    """A cell whose step calls a function that is not one of its arguments."""

    def step(h: State, n: Gate) -> Tensor:
        return tanh(function(n) + h)

    return written(step)


class OptionCell(BaseRecurrentCell):
    """A cell with a function as an option."""

    function: Any = "tanh"

    @staticmethod
    def step(h: State, n: Gate, function: Nonlinearity) -> Tensor:
        return tanh(function(n) + h)


def layers(function: Callable[[Any], Any]) -> list[Callable[[], Recurrent]]:
    """Layers with the function in the step and as an option."""
    kind = activated(function)
    return [
        lambda: Recurrent(make(kind), 3, 4),
        lambda: Recurrent(make(OptionCell, function=function), 3, 4),
    ]


def check_agreement(layer: Recurrent, input: Tensor) -> Tensor:
    """The layer gives what the reference gives, gradients too."""
    results: list[list[Tensor]] = []
    for path in ("reference", "auto"):
        with backend(path):
            output, _ = layer(input)
        results.append([output, *gradients(layer, output).values()])
    expected, found = results
    assert_same(found, expected)
    return expected[0].detach()


@pytest.mark.parametrize("name", SEEN)
def test_a_change_of_a_number_is_seen(name: str) -> None:
    input = torch.randn(5, 2, 3, dtype=torch.float64)
    for new in layers(SEEN[name]):
        set_scale(0.5)
        layer = new()
        before = check_agreement(layer, input)
        assert ": c: " in layer.explain(input)
        set_scale(1.5)
        after = check_agreement(layer, input)
        assert not torch.equal(before, after)
        assert ": c: " in layer.explain(input)
        check_agreement(new(), input)
        set_scale(0.5)
        assert torch.equal(check_agreement(layer, input), before)


@pytest.mark.parametrize("said", UNSEEN)
def test_what_may_change_unseen_runs_the_reference(said: str) -> None:
    input = torch.randn(5, 2, 3, dtype=torch.float64)
    for new in layers(UNSEEN[said]):
        set_scale(0.5)
        layer = new()
        before = check_agreement(layer, input)
        sentence = f"reference: its step reads {said} from outside, which may change unseen by a k"
        assert sentence in layer.explain(input)
        with backend("c"), pytest.raises(RuntimeError, match="from outside"):
            layer(input)
        set_scale(1.5)
        assert not torch.equal(check_agreement(layer, input), before)


def test_an_activation_of_torch_as_an_option() -> None:
    input = torch.randn(5, 2, 3, dtype=torch.float64)
    layer = Recurrent(make(OptionCell, function=nn.Sequential(nn.Tanh(), nn.LeakyReLU(0.01))), 3, 4)
    check_agreement(layer, input)
    assert ": c: " in layer.explain(input)
    steep = Recurrent(make(OptionCell, function=leaky), 3, 4)
    check_agreement(steep, input)
    leaky.negative_slope = 0.01
    check_agreement(steep, input)


def test_an_import_within_a_step() -> None:
    def harmless(value: Any) -> Any:
        from math import pi

        return pi * value

    def harmful(value: Any) -> Any:
        from tests.test_outside import SCALE

        return SCALE * value

    input = torch.randn(5, 2, 3, dtype=torch.float64)
    assert ": c: " in layers(harmless)[0]().explain(input)
    said = layers(harmful)[0]().explain(input)
    assert "its step reads 'import tests.test_outside' from outside" in said


def test_another_function_under_the_same_name(monkeypatch: pytest.MonkeyPatch) -> None:
    input = torch.randn(5, 2, 3, dtype=torch.float64)
    kind = activated(lambda value: scaled(value))
    layer = Recurrent(make(kind), 3, 4)
    before = check_agreement(layer, input)
    monkeypatch.setitem(globals(), "scaled", lambda value: 2 * value)
    assert not torch.equal(check_agreement(layer, input), before)
    check_agreement(Recurrent(make(kind), 3, 4), input)


def test_another_code_of_the_same_function() -> None:
    """As editors that reload a module put it in."""

    def function(value: Any) -> Any:
        return 0.5 * value

    input = torch.randn(5, 2, 3, dtype=torch.float64)
    layer = Recurrent(make(activated(function)), 3, 4)
    before = check_agreement(layer, input)
    function.__code__ = (lambda value: 1.5 * value).__code__
    assert not torch.equal(check_agreement(layer, input), before)


def test_numbers_that_change_all_the_time_are_not_compiled_each_time() -> None:
    input = torch.randn(2, 1, 3, dtype=torch.float64)
    layer = Recurrent(make(activated(SEEN["a global"])), 3, 4)
    said = ""
    for k in range(20):
        set_scale(1.0 + k)
        check_agreement(layer, input)
        said = layer.explain(input)
        assert (": c: " in said) == (k < 16)
    assert "numbers that its step reads from outside, such as 'SCALE', change too often" in said
    set_scale(1.0)
    assert ": c: " in layer.explain(input)


def test_compiled_code_sees_the_change() -> None:
    """There the reference runs, since torch.compile keeps the kernel."""
    torch.compiler.reset()
    layer = Recurrent(make(activated(lambda value: SCALE * value)), 3, 4)
    compiled: Any = torch.compile(layer, backend="eager", fullgraph=True)
    input = torch.randn(3, 2, 3, dtype=torch.float64)
    for scale in (0.5, 0.75, 1.5):
        set_scale(scale)
        with backend("reference"):
            expected = layer(input)
        assert_same(compiled(input), expected)
    with backend("c"), pytest.raises(Exception, match="compiled code would keep the numbers"):
        torch.compile(layer, backend="eager", fullgraph=True)(input[:2])


def test_no_cell_of_the_package_reads_a_number_from_outside(
    cell_class: type[BaseRecurrentCell],
) -> None:
    found = Outside({"step": cell_class.step})
    assert found.values == []
    assert found.refusal == ""
    assert found.unchanged()


def test_a_number_from_outside_is_part_of_the_key(cell_class: type[BaseRecurrentCell]) -> None:
    @functools.wraps(cell_class.step)
    def step(*arguments: Any) -> Any:
        result = cell_class.step(*arguments)
        return (SCALE * result[0], *result[1:]) if isinstance(result, tuple) else SCALE * result

    kind = type("ScaledCell", (cell_class,), {"step": staticmethod(step)})
    cell = make(kind)
    first = fused(cell)
    assert isinstance(first, Fused)
    assert first.reads_values
    assert fused(cell) is first
    set_scale(1.5)
    second = fused(cell)
    assert isinstance(second, Fused)
    assert second.key != first.key
    assert second is fused(make(kind))
    set_scale(0.5)
    assert fused(cell) is first
