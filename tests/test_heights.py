"""Steps beyond one width: products of several heights, maps of the input, averages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import pytest
import torch
from torch import Tensor

from torchrecurrent import BaseRecurrentCell, LayerNormRNN, Recurrent, backend
from torchrecurrent.engine import Backend
from torchrecurrent.roles import (
    INPUT,
    RECURRENT,
    Constant,
    Gate,
    Input,
    MapRole,
    ProductRole,
    State,
    Weight,
)

from .test_engine import results

Narrow = Annotated[Tensor, ProductRole(INPUT, RECURRENT, rows="narrow")]
Widened = Annotated[
    Callable[[Tensor], Tensor], MapRole(Weight("weight_wide", None, "wide_"), columns="narrow")
]
InputMap = Annotated[
    Callable[[Tensor], Tensor], MapRole(INPUT, columns="input_size", always_dense=True)
]
Value = Annotated[Tensor, ProductRole(INPUT, rows="value_size")]


class HourglassCell(BaseRecurrentCell):
    """Products of two heights, a number used at either, and maps of the input in the step."""

    narrow: int = 2
    scale: float = 1.0
    wide_kernel_init: str = "xavier_uniform"

    @property
    def value_size(self) -> int:
        return 0 if self.input_size == self.hidden_size else self.hidden_size

    @staticmethod
    def step(
        h: State,
        a: Narrow,
        b: Gate,
        c: Gate,
        d: Narrow,
        v: Value,
        W: Widened,
        I: InputMap,
        x: Input,
        scale: Constant,
    ) -> Tensor:
        thin = (1 + scale) * torch.tanh(a) + 2 * torch.sigmoid(d)
        return torch.sigmoid(b) * h + (1 + scale) * torch.tanh(c + W(thin) + I(x)) * v


@pytest.mark.parametrize(
    "options", [{}, {"num_heads": 2}, {"integration": "multiplicative"}, {"bias": False}], ids=str
)
@pytest.mark.parametrize("width", [4, 6], ids=["I = H", "I < H"])
def test_products_may_differ_in_height(width: int, options: dict[str, Any]) -> None:
    """The kernel's numbers are those of the loop, whose first step is written out here."""
    layer = Recurrent(HourglassCell, 4, width, dtype=torch.float64, **options)
    (cell,) = layer.cells
    assert isinstance(cell, HourglassCell)
    heights = [block.stop - block.start for block in cell.layout.blocks(INPUT)]
    assert heights == [2, width, width, 2, *([width] if width > 4 else []), width]
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    input = torch.randn(5, 3, 4, dtype=torch.float64)
    assert "c:" in layer.explain(input)
    expected = results(layer, input, "reference")
    for one, other in zip(results(layer, input, "c"), expected, strict=True):
        # some hundred roundings at size ten
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)
    if options:
        return
    a, _, c, d, v, I = (
        input[0] @ cell.block("weight_ih", name).T
        + cell.block("bias_ih", name)
        + (cell.block("bias_hh", name) if name in "abcd" else 0)
        if cell.layout.block(INPUT, name)
        else input[0]
        for name in "abcdvI"
    )
    thin = 2 * torch.tanh(a) + 2 * torch.sigmoid(d)
    first = 2 * torch.tanh(c + thin @ cell.get_parameter("weight_wide").T + I) * v
    torch.testing.assert_close(expected[0][0], first.detach(), rtol=0, atol=1e-12)


def test_maps_of_the_input_come_after_its_products() -> None:
    class BackwardsCell(BaseRecurrentCell):
        @staticmethod
        def step(h: State, x: Input, I: InputMap, n: Gate) -> Tensor:
            return torch.tanh(n + I(x))

    with pytest.raises(ValueError, match="weight_ih: expected products before maps, got I, n"):
        BackwardsCell(3, 4)


@pytest.mark.parametrize("path", ["c", "reference"])
def test_a_kernel_for_all_epsilons(path: Backend) -> None:
    """Numbers among the options are handed to a kernel; they are no part of it."""
    input, found = torch.randn(4, 2, 3, dtype=torch.float64), []
    for epsilon in (1e-5, 10.0):
        torch.manual_seed(0)
        layer = LayerNormRNN(
            3, 5, layer_norm_eps=epsilon, nonlinearity="identity", dtype=torch.float64
        )
        with backend(path), torch.no_grad():
            found.append(layer(input)[0][0].var(-1, correction=0))
    assert bool((found[0] > 0.9).all())
    assert bool((found[1] < 0.5).all())
