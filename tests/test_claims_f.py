"""Scientific claims of the papers of input-gated cells, of CIFG and of the Lipschitz network."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from torchrecurrent import (
    LRU,
    QRNN,
    SRU,
    CIFGLSTMCell,
    LipschitzRNNCell,
    LRUCell,
    LSTMCell,
    Recurrent,
    SRUCell,
    minGRUCell,
    minLSTMCell,
)
from torchrecurrent.init import ring

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
    """Only elementwise operations wait for the step before; the matrices see the input alone."""
    cell = randomize(SRUCell(3, 5, dtype=F64))
    x = normal(3)
    jacobian = torch.autograd.functional.jacobian(lambda c: cell(x, c)[1], normal(5))
    assert isinstance(jacobian, Tensor)
    assert torch.equal(jacobian, jacobian.diag().diag())
    assert bool(jacobian.diag().all())


def test_a_qrnn_is_a_convolution_and_a_moving_average() -> None:
    """All that has weights is one convolution of width two over the sequence."""
    layer = randomize(QRNN(3, 4, dtype=F64))
    (cell,) = layer.cells
    inputs = normal(20, 1, 3)
    kernel = torch.stack([cell.get_parameter("weight_hh"), cell.get_parameter("weight_ih")], -1)
    padded = torch.nn.functional.pad(inputs.permute(1, 2, 0), (1, 0))
    with torch.no_grad():
        made = torch.nn.functional.conv1d(padded, kernel, cell.get_parameter("bias_ih"))
        z, f, o = made.permute(2, 0, 1).chunk(3, -1)
        c, expected = torch.zeros(1, 4, dtype=F64), []
        for t in range(20):
            c = f[t].sigmoid() * c + (1 - f[t].sigmoid()) * z[t].tanh()
            expected.append(o[t].sigmoid() * c)
        found = layer(inputs)[0]
    torch.testing.assert_close(found, torch.stack(expected), rtol=0, atol=1e-13)


def test_a_cifg_has_three_quarters_of_an_lstm_and_an_average_for_its_state() -> None:
    sizes = [sum(p.numel() for p in kind(7, 9).parameters()) for kind in (CIFGLSTMCell, LSTMCell)]
    assert 4 * sizes[0] == 3 * sizes[1]
    cell, state = randomize(CIFGLSTMCell(3, 4, dtype=F64)), None
    for x in 10 * normal(300, 3):
        state = cell(x, state)
        assert bool((state[1].abs() <= 1).all())  # an LSTM's may grow by one a step


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.8, 1.0])
def test_the_matrices_of_a_lipschitz_network_have_bounded_eigenvalues(beta: float) -> None:
    """Real parts within 2 (1 - beta) times those of M's symmetric part, moved by gamma."""
    cell = randomize(LipschitzRNNCell(3, 6, beta=beta, gamma=0.25, dtype=F64))
    found, given = (
        each.detach().view(2, 6, 6)
        for each in (cell.recurrent_kernel(), cell.get_parameter("weight_hh"))
    )
    bounds = torch.linalg.eigvalsh((given + given.mT) / 2)
    real = torch.linalg.eigvals(found).real + 0.25
    low, high = (2 * (1 - beta) * each for each in (bounds[:, :1], bounds[:, -1:]))
    assert bool((real >= low - 1e-12).all())
    assert bool((real <= high + 1e-12).all())
    if beta == 0.0:
        assert torch.equal(found, found.mT)


def test_an_lru_is_stable_whatever_it_learns() -> None:
    """Without input every state turns and shrinks, by the factor exp(-exp(nu))."""
    cell = randomize(LRUCell(3, 5, bias=False, dtype=F64))
    factor = torch.exp(-torch.exp(cell.get_parameter("weight_nu").detach()))
    assert bool((factor < 1).all())
    state = (normal(5), normal(5))
    with torch.no_grad():
        _, after = cell(torch.zeros(3, dtype=F64), state)
    torch.testing.assert_close(torch.hypot(*after), factor * torch.hypot(*state))


def test_the_states_of_an_lru_start_as_large_as_what_enters_them() -> None:
    """Its normalisation, for white noise and however long the memory: to a tenth."""
    layer = LRU(64, 256, nu_kernel_init=ring(0.9, 0.99))
    with torch.no_grad():
        (re, im) = layer(torch.randn(600, 64, 64))[1]
    assert abs(float((re**2 + im**2).mean()) - 1) < 0.1


def test_beta_is_a_fraction() -> None:
    with pytest.raises(ValueError, match="beta has to be from 0 to 1, got 2"):
        LipschitzRNNCell(3, 4, beta=2.0)
