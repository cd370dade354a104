"""Scientific claims of the papers of networks whose gates see the input alone."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from torchrecurrent import SRU, Recurrent, SRUCell, minGRUCell, minLSTMCell

from .making import randomize

F64 = torch.float64


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=F64)


def gate(cell: Any, name: str, inputs: Tensor) -> Tensor:
    weight, bias = (cell.block(kind, name) for kind in ("weight_ih", "bias_ih"))
    return torch.nn.functional.linear(inputs, weight, bias)


def candidates(cell: Any, inputs: Tensor) -> Tensor:
    """g of the paper's appendix."""
    n = gate(cell, "n", inputs)
    return torch.where(n >= 0, n + 0.5, torch.sigmoid(n))


def kept(cell: Any, inputs: Tensor) -> Tensor:
    """How much of the state each step keeps."""
    if isinstance(cell, minGRUCell):
        return 1 - torch.sigmoid(gate(cell, "z", inputs))
    f, i = (torch.sigmoid(gate(cell, name, inputs)) for name in "fi")
    return f / (f + i)


@pytest.mark.parametrize("cell_class", [minGRUCell, minLSTMCell])
def test_a_minimal_network_can_be_computed_for_all_steps_at_once(
    cell_class: type[minGRUCell | minLSTMCell],
) -> None:
    """h_T = a_1 ... a_T h_0 + sum_t a_(t+1) ... a_T (1 - a_t) g_t, by one cumulative product."""
    cell = randomize(cell_class(3, 4, dtype=F64))
    inputs, first = normal(50, 3), normal(4).abs()
    with torch.no_grad():
        last = Recurrent(cell, 3, 4)(inputs, first.unsqueeze(0))[1][0]
        a, g = kept(cell, inputs), candidates(cell, inputs)
        after = a.flip(0).cumprod(0).flip(0)  # a_t ... a_T
        later = torch.cat([after[1:], torch.ones(1, 4, dtype=F64)])
        whole = after[0] * first + (later * (1 - a) * g).sum(0)
    torch.testing.assert_close(last, whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("cell_class", [minGRUCell, minLSTMCell])
def test_the_states_of_a_minimal_network_are_positive_averages(
    cell_class: type[minGRUCell | minLSTMCell],
) -> None:
    cell = randomize(cell_class(3, 4, dtype=F64))
    inputs = 3 * normal(300, 3)
    with torch.no_grad():
        g = candidates(cell, inputs)
        states = Recurrent(cell, 3, 4)(inputs)[0]
    assert bool((states > 0).all())
    assert bool((states <= g.cummax(0).values).all())


def test_a_minimal_lstm_whose_gates_agree_keeps_half_however_small_they_are() -> None:
    """Scaled to add up to one: exp(-1000) over twice itself is a half."""
    cell = minLSTMCell(3, 4, dtype=F64)
    with torch.no_grad():
        for name in "fi":
            cell.block("weight_ih", name).zero_()
            cell.block("bias_ih", name).fill_(-1000)
        x, h = normal(3), normal(4)
        torch.testing.assert_close(cell(x, h), (h + candidates(cell, x)) / 2)


@pytest.mark.parametrize("sizes", [(512, 512), (256, 512)], ids=str)
@pytest.mark.parametrize("highway_bias", [0.0, -1.0, -3.0])
def test_an_sru_starts_with_an_output_as_large_as_its_input(
    sizes: tuple[int, int], highway_bias: float
) -> None:
    """Its variance is the input's: to a tenth, for what the derivation approximates."""
    inputs = torch.randn(60, 16, sizes[0])
    with torch.no_grad():
        output = SRU(*sizes, highway_bias=highway_bias)(inputs)[0][30:]
    assert abs(float(output.var()) - 1) < 0.1


def test_a_closed_sru_hands_on_its_input() -> None:
    """As it is, times alpha, where both are equally wide."""
    cell = randomize(SRUCell(4, 4, highway_bias=-1.0, dtype=F64))
    with torch.no_grad():
        cell.block("bias_ih", "b_r").fill_(-1e6)
    x = normal(4)
    output, _ = cell(x, normal(4))
    torch.testing.assert_close(output, math.sqrt(1 + 2 / math.e) * x)


def test_the_units_of_an_sru_never_meet() -> None:
    """What waits for the step before is elementwise; the matrices see the input alone."""
    cell = randomize(SRUCell(3, 5, dtype=F64))
    x = normal(3)
    jacobian = torch.autograd.functional.jacobian(lambda c: cell(x, c)[1], normal(5))
    assert isinstance(jacobian, Tensor)
    assert torch.equal(jacobian, jacobian.diag().diag())
    assert bool(jacobian.diag().all())
