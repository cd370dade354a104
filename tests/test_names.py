"""Names that Python allows and C, or the engine itself, has for something else."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from torchrecurrent import BaseRecurrentCell, Recurrent
from torchrecurrent.activations import Activation
from torchrecurrent.init import Initializer
from torchrecurrent.roles import (
    CellMap,
    Constant,
    Gate,
    Map,
    Nonlinearity,
    Output,
    Projected,
    State,
    Vector,
)

from .making import assert_same, input_for, randomize
from .test_engine import results


class KeywordsCell(BaseRecurrentCell):
    """Keywords and types of C, macros of its headers, names of the emitted code."""

    H: float = 0.5
    T: float = 0.25
    exp: Activation = "tanh"
    vector_kernel_init: Initializer = "uniform"

    @staticmethod
    def step(
        auto: State,
        long: State,
        register: Gate,
        double: Gate,
        restrict: Projected,
        p: Gate,
        NULL: Projected,
        union: Map,
        static: Vector,
        void: Vector,
        H: Constant,
        T: Constant,
        exp: Nonlinearity,
    ) -> tuple[Tensor, Tensor]:
        int = torch.sigmoid(register)
        short = int * auto + (1 - int) * exp(restrict + union(int * auto))
        return short * torch.sigmoid(p + static * long), H * long + T * (double + void * NULL)


class OwnCell(BaseRecurrentCell):
    """The engine's names for its own values."""

    vector_kernel_init: Initializer = "uniform"
    cell_kernel_init: Initializer = "uniform"
    cell_bias_init: Initializer = "uniform"
    cell_bias: bool | None = None

    @staticmethod
    def step(
        h: State,
        output: State,
        Z: Gate,
        x: Map,
        step: CellMap,
        sum: Vector,
        X: Projected,
        keep: Gate,
    ) -> tuple[Output, Tensor, Tensor]:
        rows = torch.tanh(Z + x(h))
        columns = torch.sigmoid(keep + sum * output) * torch.tanh(X + step(rows * output))
        return rows * columns, 0.5 * (h + rows), columns


class InputCell(BaseRecurrentCell):
    """A map beside the input's own kernel."""

    @staticmethod
    def step(h: State, n: Gate, input: Map) -> Tensor:
        return torch.tanh(n + input(torch.sigmoid(h)))


class GreekCell(BaseRecurrentCell):
    """Letters beyond ASCII."""

    δ: float = 0.5

    @staticmethod
    def step(h: State, α: Gate, ñ: Projected, U: Map, δ: Constant) -> Tensor:
        α = torch.sigmoid(α)
        return (1 - δ * α) * h + α * torch.tanh(ñ + U(α * h))


@pytest.mark.parametrize(
    "cell", [KeywordsCell, OwnCell, InputCell, GreekCell], ids=lambda cell: cell.__name__
)
def test_any_name_will_do(cell: type[BaseRecurrentCell]) -> None:
    layer: Any = randomize(Recurrent(cell, 3, 5, dtype=torch.float64))
    input = input_for(layer, 7, 4)
    assert ": c: " in layer.explain(input)
    with torch.no_grad():
        hx = layer(input)[1]
    expected = results(layer, input, "reference", hx=hx)
    # Sums of up to 7 * 4 terms, in another order.
    assert_same(results(layer, input, "c", hx=hx), expected, 1e-12)
