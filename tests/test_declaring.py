"""A cell whose declaration is wrong fails when the class is made, and says how to mend it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import pytest
import torch
from torch import Tensor

from torchrecurrent import BaseRecurrentCell, Recurrent
from torchrecurrent.roles import (
    INPUT,
    RECURRENT,
    Bias,
    CellMap,
    Constant,
    Delayed,
    Gate,
    MapsRole,
    Nonlinearity,
    Output,
    ProductRole,
    Scalar,
    State,
    Vector,
    Weight,
)


def test_an_argument_without_a_role() -> None:
    with pytest.raises(TypeError, match=r"BadCell.step: argument 'n' has no role; annotate it"):

        class BadCell(BaseRecurrentCell):
            @staticmethod
            def step(h: State, n: Tensor) -> Tensor:
                return h + n


def test_no_state() -> None:
    with pytest.raises(TypeError, match="expected at least one argument annotated State"):

        class BadCell(BaseRecurrentCell):
            @staticmethod
            def step(n: Gate) -> Tensor:
                return n


def test_a_return_of_the_wrong_length() -> None:
    with pytest.raises(TypeError, match=r"return annotation of 2 tensor\(s\).*\(h, c\), got 1"):

        class BadCell(BaseRecurrentCell):
            @staticmethod
            def step(h: State, c: State, n: Gate) -> Tensor:
                return n

    with pytest.raises(TypeError, match=r"of 2 tensor\(s\).* after the output, got 1"):

        class WorseCell(BaseRecurrentCell):
            @staticmethod
            def step(h: State, n: Gate) -> Output:
                return n


LAYERS = Weight("weight_lh", "bias_lh", "layer_")
Layers = Annotated[tuple[Callable[[Tensor], Tensor], ...], MapsRole(LAYERS, "layers", first=2)]


@pytest.mark.parametrize("role", [Constant, Nonlinearity, CellMap, Vector, Scalar, Delayed, Layers])
def test_an_option_that_is_not_declared(role: object) -> None:
    def step(h: State, n: Gate, q) -> Tensor:  # type: ignore[no-untyped-def]
        return n

    step.__annotations__["q"] = role
    with pytest.raises(TypeError, match=r"argument 'q' needs the option '.*'; declare it in"):
        type("BadCell", (BaseRecurrentCell,), {"step": staticmethod(step)})


def test_a_beginning_of_what_is_not_there() -> None:
    def step(h: State, f: Gate) -> Tensor:
        return f

    def declare(first: dict[object, object]) -> None:
        type("BadCell", (BaseRecurrentCell,), {"step": staticmethod(step), "first": first})

    known = r"expected arguments .* \(f, weight_ih\.f, weight_hh\.f\), got "
    for name in ("g", "h", "weight_ih.g", "weight_xh.f", "bias_ih.f"):
        with pytest.raises(TypeError, match=f"BadCell.first: {known}'{name}'"):
            declare({name: 1.0})
    with pytest.raises(TypeError, match=f"BadCell.first: {known}'g'"):
        declare({("f", "g"): 1.0})
    with pytest.raises(TypeError, match="argument 'f' needs the option 'forget_bias'"):
        declare({"f": "forget_bias"})
    for value in (None, True, [1.0]):
        with pytest.raises(TypeError, match="'f' should be a number, the name of an option or an"):
            declare({"f": value})


def test_a_product_with_no_such_state() -> None:
    step_gate = Annotated[Tensor, ProductRole(INPUT, RECURRENT, "k")]

    def step(h: State, n: Gate) -> Tensor:
        return n

    step.__annotations__["n"] = step_gate
    with pytest.raises(TypeError, match=r"argument 'n' is a product with 'k'; expected one of"):
        type("BadCell", (BaseRecurrentCell,), {"step": staticmethod(step)})


class LeakyCell(BaseRecurrentCell):
    """A user's cell with every kind of argument that the catalogue leaves out."""

    leak: float = 0.5
    scale_init: float = 2.0
    vector_kernel_init: str = "ones"

    @staticmethod
    def step(h: State, n: Gate, v: Vector, scale: Scalar, leak: Constant) -> Tensor:
        return leak * h + (1 - leak) * scale * torch.tanh(n + v * h)


def test_a_users_cell_has_all_that_ours_have() -> None:
    cell = LeakyCell(3, 4, leak=0.25)
    shapes = {name: tuple(parameter.shape) for name, parameter in cell.named_parameters()}
    assert shapes == {
        "weight_ih": (4, 3),
        "weight_hh": (4, 4),
        "weight_vh": (4,),
        "bias_ih": (4,),
        "bias_hh": (4,),
        "scale": (1,),
    }
    assert cell.get_parameter("scale").item() == 2.0
    assert repr(cell) == "LeakyCell(3, 4, leak=0.25)"
    x, h = torch.randn(2, 3), torch.randn(2, 4)
    weights = dict(cell.named_parameters())
    n = x @ weights["weight_ih"].T + h @ weights["weight_hh"].T
    expected = 0.25 * h + 0.75 * 2 * torch.tanh(n + h)
    torch.testing.assert_close(cell(x, h), expected)
    layer = Recurrent(LeakyCell, 3, 4, 2, bidirectional=True, leak=0.75)
    assert layer(torch.randn(5, 2, 3))[0].shape == (5, 2, 8)


class DeepCell(BaseRecurrentCell):
    """One product under two biases that the step names, then a network of some layers."""

    layers: int = 4
    layer_bias: bool | None = None
    layer_kernel_init: str = "xavier_uniform"
    layer_bias_init: str = "zeros"

    @staticmethod
    def step(h: State, n: Gate, one: Bias, other: Bias, R: Layers) -> Tensor:
        h = torch.tanh(n + one) * torch.sigmoid(n + other)
        for R_l in R:
            h = torch.tanh(R_l(h))
        return h


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bias": False},
        {"recurrent_bias": False},
        {"bias": False, "recurrent_bias": True},
        {"layers": 2},
        {"layers": 3, "recurrence": "diagonal"},
    ],
    ids=str,
)
def test_a_step_may_name_its_biases_and_have_layers(options: dict[str, Any]) -> None:
    cell = DeepCell(3, 4, dtype=torch.float64, **options)
    for parameter in cell.parameters():
        torch.nn.init.normal_(parameter)
    state = cell.state_dict()
    assert state["weight_ih"].shape == (4, 3)
    assert [block.name for block in cell.layout.bias_blocks(INPUT)] == ["one", "other"]
    assert [state[name].shape for name in ("bias_ih", "bias_hh") if name in state] == [
        (8,) for name in ("bias_ih", "bias_hh") if name in state
    ]

    def bias(name: str) -> Tensor:
        found = [key for key in ("bias_ih", "bias_hh") if key in state]
        return sum((cell.block(key, name) for key in found), torch.zeros(4, dtype=torch.float64))

    def product(weight: Tensor, value: Tensor) -> Tensor:
        return value * weight if weight.dim() == 1 else value @ weight.T

    input, h = torch.randn(5, 2, 3, dtype=torch.float64), torch.zeros(2, 4, dtype=torch.float64)
    for x in input:
        n = x @ state["weight_ih"].T + product(state["weight_hh"], h)
        h = torch.tanh(n + bias("one")) * torch.sigmoid(n + bias("other"))
        for layer in range(2, cell.layers):
            h = product(cell.block("weight_lh", f"R{layer}"), h)
            h = torch.tanh(h + cell.block("bias_lh", f"R{layer}") if "bias_lh" in state else h)
    torch.testing.assert_close(Recurrent(cell, 3, 4)(input)[0][-1], h)


def test_the_escape_hatches() -> None:
    class AntisymmetricCell(LeakyCell):
        """A constrained kernel, computed once a sequence."""

        count = 0

        def recurrent_kernel(self) -> Tensor:
            type(self).count += 1
            weight = self.get_parameter("weight_hh")
            return weight - weight.T

    cell = AntisymmetricCell(3, 4)
    plain = LeakyCell(3, 4)
    plain.load_state_dict(cell.state_dict())
    with torch.no_grad():
        plain.get_parameter("weight_hh").copy_(cell.recurrent_kernel())
    AntisymmetricCell.count = 0
    x = torch.randn(5, 2, 3)
    torch.testing.assert_close(Recurrent(cell, 3, 4)(x)[0], Recurrent(plain, 3, 4)(x)[0])
    assert AntisymmetricCell.count == 1

    class ClippedCell(LeakyCell):
        """A step of another form altogether."""

        def update(self, inputs, states, kernels):  # type: ignore[no-untyped-def]
            output, states = super().update(inputs, states, kernels)
            return output.clamp(-0.1, 0.1), tuple(state.clamp(-0.1, 0.1) for state in states)

    output, _ = Recurrent(ClippedCell, 3, 4)(100 * x)
    assert output.abs().max().item() == pytest.approx(0.1)
