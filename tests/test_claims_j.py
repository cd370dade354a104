"""Scientific claims of the papers of cells for irregular time steps, and some others."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from torchrecurrent import (
    CTLSTMCell,
    ExpRNN,
    ExpRNNCell,
    GORUCell,
    GRUODECell,
    GRUResetBeforeCell,
    GRUwECell,
    LSTMCell,
    ODELSTMCell,
    PeepholeLSTMCell,
    PhasedLSTMCell,
    Recurrent,
    TimeAwareLSTMCell,
)

from .making import assert_same, randomize

F64 = torch.float64


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=F64)


def uniform(*shape: int) -> Tensor:
    return torch.rand(*shape, dtype=F64)


@torch.no_grad()
def test_a_ct_lstm_forgets_all_but_its_target_and_its_gate_between_events() -> None:
    cell: Any = randomize(CTLSTMCell(3, 4, dtype=F64))
    x, c, s, delta, o = normal(2, 3), normal(2, 4), normal(2, 4), 0.1 + uniform(2, 4), uniform(2, 4)
    late = torch.full((2,), 1e3, dtype=F64)
    expected = cell(x, (s, s, delta, o))
    assert_same(cell(x, (c, s, delta, o), dt=late), expected)
    assert_same(cell(x, (c, s, 0 * delta, o), dt=late), cell(x, (c, s, delta, o), dt=0 * late))


@torch.no_grad()
def test_a_time_aware_lstm_is_an_lstm_that_loses_what_is_short() -> None:
    cell: Any = randomize(TimeAwareLSTMCell(3, 4, dtype=F64))
    lstm: Any = LSTMCell(3, 4, dtype=F64)
    lstm.load_state_dict({name: cell.state_dict()[name] for name in lstm.state_dict()})
    x, h, c = normal(2, 3), normal(2, 4), normal(2, 4)
    assert_same(cell(x, (h, c), dt=torch.zeros(2, dtype=F64)), lstm(x, (h, c)))
    short = torch.tanh(c @ cell.get_parameter("weight_short").T + cell.get_parameter("bias_short"))
    # after a time of e^k - e, a k-th of it is left
    for k in (2.0, 5.0, 40.0):
        dt = torch.full((2,), math.exp(k) - math.e, dtype=F64)
        assert_same(cell(x, (h, c), dt=dt), lstm(x, (h, c - (1 - 1 / k) * short)))


@torch.no_grad()
def test_gruwe_decays_by_time_and_is_then_a_gru() -> None:
    cell: Any = randomize(GRUwECell(3, 4, dtype=F64))
    gru: Any = GRUResetBeforeCell(3, 4, dtype=F64)
    for parameter in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        r_z_n = [cell.block(parameter, "n" if parameter.endswith("ih") else "V")]
        r_z_n = [cell.get_parameter(parameter)[k : k + 4] for k in (4, 0)] + r_z_n
        gru.get_parameter(parameter).copy_(torch.cat(r_z_n))
        gru.block(parameter, "z").neg_()  # the gate of what is kept
    x, h, w = normal(2, 3), normal(2, 4), cell.block("weight_decay", "w")
    cell.block("weight_decay", "beta").zero_()
    assert_same(cell(x, h, dt=torch.zeros(2, dtype=F64)), gru(x, h))
    half = math.log(2) / w
    kept = cell(x[:1].expand(4, 3), h[:1].expand(4, 4), dt=half.abs())
    for unit in range(4):  # after its own half-life a unit is half of what it was, or all of it
        left = torch.exp(-torch.relu(w * half[unit].abs()))
        assert_same(left[unit], torch.tensor(0.5 if w[unit] > 0 else 1.0, dtype=F64))
        assert_same(kept[unit], gru(x[:1], left * h[:1])[0])


@torch.no_grad()
def test_the_memory_of_an_ode_lstm_does_not_see_the_time() -> None:
    cell: Any = randomize(ODELSTMCell(3, 4, dtype=F64))
    lstm: Any = LSTMCell(3, 4, dtype=F64)
    lstm.load_state_dict({name: cell.state_dict()[name] for name in lstm.state_dict()})
    x, h, c = normal(2, 3), normal(2, 4), normal(2, 4)
    expected = lstm(x, (h, c))
    assert_same(cell(x, (h, c), dt=torch.zeros(2, dtype=F64)), expected)
    new = cell(x, (h, c), dt=uniform(2))
    assert_same(new[1], expected[1])
    assert not torch.equal(new[0], expected[0])


@torch.no_grad()
def test_gru_ode_is_a_gru_at_a_time_of_one_and_keeps_its_bounds() -> None:
    cell: Any = randomize(GRUODECell(3, 4, dtype=F64))
    gru: Any = randomize(GRUResetBeforeCell(3, 4, recurrent_bias=False, dtype=F64))
    gru.load_state_dict(cell.state_dict())
    x, h = 10 * normal(50, 3), 2 * uniform(50, 4) - 1
    assert_same(cell(x, h, dt=torch.ones(50, dtype=F64)), gru(x, h))
    assert float(cell(x, h, dt=uniform(50)).abs().max()) <= 1


def test_exp_rnn_neither_shrinks_nor_stretches_states_and_gradients() -> None:
    """Without input and threshold, as its nonlinearity then is the identity."""
    layer: Any = randomize(ExpRNN(3, 6, bias=False, dtype=F64))
    cell = layer.cells[0]
    with torch.no_grad():
        cell.get_parameter("weight_threshold").zero_()
    kernel = cell.recurrent_kernel()
    assert_same(kernel @ kernel.T, torch.eye(6, dtype=F64))
    assert_same(torch.linalg.det(kernel), torch.ones((), dtype=F64))
    first = normal(1, 1, 6).requires_grad_()
    output, _ = layer(torch.zeros(1000, 1, 3, dtype=F64), first)
    weights = normal(6)
    (grad,) = torch.autograd.grad((output[-1] * weights).sum(), first)
    assert_same(output.norm(dim=-1), first.norm().expand(1000, 1), 1e-10)  # 1000 steps
    assert_same(grad.norm(), weights.norm(), 1e-10)


@torch.no_grad()
def test_goru_with_an_open_reset_and_no_memory_is_an_exp_rnn() -> None:
    cell: Any = randomize(GORUCell(3, 4, recurrent_bias=False, dtype=F64))
    rnn: Any = ExpRNNCell(3, 4, dtype=F64)
    for gate, value in (("r", 50.0), ("g", -50.0)):
        cell.block("bias_ih", gate).fill_(value)
    for parameter, ours in (("weight_ih", "c"), ("bias_ih", "c"), ("weight_hh", "m")):
        rnn.get_parameter(parameter).copy_(cell.block(parameter, ours))
    rnn.get_parameter("weight_threshold").copy_(cell.get_parameter("weight_threshold"))
    x, h = normal(5, 3), normal(5, 4)
    assert_same(cell(x, h), rnn(x, h))


@torch.no_grad()
def test_a_phased_lstm_is_open_once_a_period_and_else_keeps_its_state() -> None:
    cell: Any = randomize(PhasedLSTMCell(3, 4, r=0.2, alpha=0.0, dtype=F64))
    lstm: Any = PeepholeLSTMCell(3, 4, dtype=F64)
    lstm.load_state_dict({name: cell.state_dict()[name] for name in lstm.state_dict()})
    period, shift = cell.get_parameter("weight_period").exp(), cell.get_parameter("weight_shift")
    x, h, c, no_time = normal(1, 3), normal(1, 4), normal(1, 4), torch.zeros(1, dtype=F64)
    whole = lstm(x, (h, c))
    for turn in (0, 3):
        for phase, openness in ((0.0, 0.0), (0.05, 0.5), (0.1, 1.0), (0.15, 0.5), (0.2, 0.0)):
            # away from the corners by what rounding may do
            time = (shift + (turn + phase + 1e-13) * period).unsqueeze(0)
            new = cell(x, (h, c, time), dt=no_time)
            assert_same(new[0], torch.lerp(h, whole[0], openness), 1e-11)
            assert_same(new[1], torch.lerp(c, whole[1], openness), 1e-11)
        for phase in (0.21, 0.6, 0.99):
            time = (shift + (turn + phase) * period).unsqueeze(0)
            assert_same(cell(x, (h, c, time), dt=no_time), (h, c, time), 0)
    dt = uniform(7, 1)
    _, (_, _, time) = Recurrent(cell, 3, 4)(normal(7, 1, 3), dt=dt)
    assert_same(time[0], dt.sum(0).expand(1, 4))
