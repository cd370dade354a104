"""Maps that a step applies: several times, and with several results."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import pytest
import torch
from torch import Tensor, sigmoid, tanh

from torchrecurrent import BaseRecurrentCell, LSTMCell, Recurrent, backend
from torchrecurrent.engine import Backend
from torchrecurrent.engine.run.kernels import Fused, fused
from torchrecurrent.equations import latex
from torchrecurrent.roles import (
    INPUT,
    Functions,
    Input,
    Map,
    MapRole,
    Parts,
    Projected,
    State,
)

from .making import assert_same, gradients, make, randomize

GATES = ("i", "f", "g", "o")
Inputs = Annotated[Functions, MapRole(INPUT, columns="input_size", results=GATES)]
States = Annotated[Functions, MapRole(results=GATES)]
OPTIONS: list[dict[str, Any]] = [{}, {"bias": False}, {"num_heads": 2}, {"recurrence": "diagonal"}]


class ByMapsCell(BaseRecurrentCell):
    """An LSTM all of whose products are maps."""

    forget_bias: float = 0.0
    first: ClassVar[Any] = {"U_f": "forget_bias"}

    @staticmethod
    def step(h: State, c: State, x: Input, W: Inputs, U: States) -> tuple[Tensor, Tensor]:
        i, f, g, o = W(x) + U(h)
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        return sigmoid(o) * tanh(c), c


class TwiceCell(BaseRecurrentCell):
    """The same map of three values, two of which are one."""

    @staticmethod
    def step(h: State, n: Projected, U: Map) -> Tensor:
        once = tanh(n + U(h))
        return once - 0.5 * U(sigmoid(once)) + 0.1 * U(h)


def results(layer: Recurrent, input: Tensor, choice: Backend) -> list[Tensor]:
    with backend(choice):
        output, state = layer(input)
        return [output, *gradients(layer, output, state).values()]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("cell_class", [ByMapsCell, TwiceCell])
def test_the_kernel_is_the_loop(cell_class: Any, options: dict[str, Any]) -> None:
    layer = randomize(Recurrent(cell_class, 4, 4, dtype=torch.float64, **options))
    input = torch.randn(6, 3, 4, dtype=torch.float64)
    assert "c:" in layer.explain(input)
    assert_same(results(layer, input, "c"), results(layer, input, "reference"))


def test_maps_with_several_results_make_an_lstm() -> None:
    cell, peer = make(ByMapsCell), make(LSTMCell)
    cell.load_state_dict(peer.state_dict())
    x, states = torch.randn(5, 3).double(), (torch.randn(5, 4).double(), torch.randn(5, 4).double())
    assert_same(cell(x, states), peer(x, states))


def test_neighbouring_results_are_one_product_of_the_kernel() -> None:
    found = fused(ByMapsCell(3, 4))
    assert isinstance(found, Fused)
    assert [each.names for each in found.plan.maps] == [
        ("W_i", "W_f", "W_g", "W_o"),
        ("U_i", "U_f", "U_g", "U_o"),
    ]


def test_a_map_of_one_value_is_one_product_of_the_kernel() -> None:
    found = fused(TwiceCell(3, 4))
    assert isinstance(found, Fused)
    assert [each.names for each in found.plan.maps] == [("U",), ("U.2",)]


def test_blocks_of_results_have_names_and_first_values() -> None:
    cell = ByMapsCell(3, 4, forget_bias=2.0)
    assert cell.block("weight_ih", "W_f").shape == (4, 3)
    assert bool((cell.block("bias_hh", "U_f") == 2).all())
    assert bool((cell.block("bias_hh", "U_i") == 0).all())


def test_each_result_is_printed() -> None:
    lines = latex(ByMapsCell)
    assert lines[1] == r"f_{t} &= W_{f} x_{t} + d_{W_{f}} + U_{f} h_{t-1} + d_{U_{f}}"
    assert len(lines) == 6


def test_results_of_different_numbers_are_not_added() -> None:
    with pytest.raises(ValueError, match="shorter"):
        Parts(torch.ones(1), torch.ones(1)) + Parts(torch.ones(1))
    with pytest.raises(TypeError, match="unsupported operand"):
        Parts(torch.ones(1)) + 1  # type: ignore[operator]
