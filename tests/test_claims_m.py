"""Scientific claims of the papers of liquid networks, clockworks and static inputs."""

from __future__ import annotations

import math
from typing import Annotated, Any

import pytest
import torch
from torch import Tensor

from torchrecurrent import (
    EALSTM,
    LSTM,
    RNN,
    BaseRecurrentCell,
    ClockworkRNN,
    ClockworkRNNCell,
    EALSTMCell,
    LTCCell,
    Recurrent,
)
from torchrecurrent.roles import INPUT, ProductRole, State

from .making import assert_same, randomize

F64 = torch.float64


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=F64)


@torch.no_grad()
def test_the_state_of_an_ltc_stays_where_its_potentials_are() -> None:
    cell: Any = randomize(LTCCell(3, 4, dtype=F64))
    potentials = torch.cat([cell.weight_rest, cell.weight_reversal])
    layer: Any = Recurrent(cell, 3, 4)
    first = potentials.min() + torch.rand(1, 5, 4, dtype=F64) * (
        potentials.max() - potentials.min()
    )
    output, _ = layer(100 * normal(50, 5, 3), first, dt=100 * torch.rand(50, 5, dtype=F64))
    # a mean of the potentials, but for a rounding
    assert output.min() >= potentials.min() - 1e-12
    assert output.max() <= potentials.max() + 1e-12


@torch.no_grad()
def test_the_time_constant_of_an_ltc_depends_on_its_input() -> None:
    cell: Any = LTCCell(1, 1, ode_unfolds=200, dtype=F64)
    for name, value in (
        ("synapse", [1.0, -50.0]),  # of the input, and none of the neuron with itself
        ("threshold", [0.5, 0.0]),
        ("slope", [4.0, 1.0]),
        ("reversal", [1.0, 0.0]),
        ("leak", [0.3]),
        ("rest", [-0.2]),
        ("capacitance", [-0.4]),
    ):
        cell.get_parameter(f"weight_{name}").copy_(torch.tensor(value))
    w, g, C = (math.log1p(math.exp(each)) for each in (1.0, 0.3, -0.4))
    times = []
    for x in (-1.0, 0.5, 2.0):
        opened = w / (1 + math.exp(-4 * (x - 0.5)))
        tau, target = C / (g + opened), (-0.2 * g + opened) / (g + opened)
        times.append(tau)
        start, dt = torch.tensor([[-1.0]], dtype=F64), 0.7
        found = cell(torch.tensor([[x]], dtype=F64), start, dt=torch.tensor([dt], dtype=F64))
        expected = torch.full_like(start, target + (-1 - target) * math.exp(-dt / tau))
        # Euler's error: at most (dt / tau)^2 / (2 * 200) times the distance of 2
        assert_same(found, expected, (dt / tau) ** 2 / 200)
    assert times[0] > 1.5 * times[1] > 1.5 * 1.2 * times[2]


@torch.no_grad()
def test_an_ltc_takes_time_as_a_differential_equation_does() -> None:
    cell: Any = randomize(LTCCell(3, 4, ode_unfolds=4, dtype=F64))
    half: Any = LTCCell(3, 4, ode_unfolds=2, dtype=F64)
    half.load_state_dict(cell.state_dict())
    x, v, dt = normal(2, 3), normal(2, 4), torch.rand(2, dtype=F64)
    assert_same(cell(x, v, dt=0 * dt), v)
    assert_same(half(x, half(x, v, dt=dt / 2), dt=dt / 2), cell(x, v, dt=dt))


def test_a_time_that_an_ltc_refuses() -> None:
    with pytest.raises(ValueError, match=r"dt should be greater than zero, got 0\.0"):
        LTCCell(3, 4, dt=0.0)
    with pytest.raises(ValueError, match="ode_unfolds must be greater than zero, got 0"):
        LTCCell(3, 4, ode_unfolds=0)


@torch.no_grad()
def test_a_module_of_a_clockwork_changes_at_its_period_alone() -> None:
    layer: Any = ClockworkRNN(2, 5, periods=(1, 3, 4), dtype=F64)
    periods = [1, 1, 3, 3, 4]
    assert layer.cells[0].weight_period.tolist() == periods
    output, _ = layer(normal(25, 1, 2))
    for unit, period in enumerate(periods):
        before = torch.cat([torch.zeros(1, dtype=F64), output[:-1, 0, unit]])
        changed = (output[:, 0, unit] != before).nonzero().squeeze(-1)
        assert changed.tolist() == list(range(0, 25, period))


@torch.no_grad()
def test_the_slowest_module_of_a_clockwork_is_a_network_of_the_steps_at_which_it_runs() -> None:
    layer: Any = ClockworkRNN(2, 6, periods=(1, 2, 4), recurrent_kernel_init="normal", dtype=F64)
    slow: Any = RNN(2, 2, bias=False, dtype=F64)
    cell, own = layer.cells[0], slow.cells[0]
    own.weight_ih.copy_(cell.weight_ih[4:])
    own.weight_hh.copy_(cell.weight_hh[4:, 4:])
    x = normal(21, 3, 2)
    assert_same(layer(x)[0][::4, :, 4:], slow(x[::4])[0])


def test_what_is_fast_in_a_clockwork_sees_what_is_slow_and_not_the_other_way_round() -> None:
    for heads in (1, 2):
        options: Any = {"periods": (1, 2, 4), "num_heads": heads, "recurrent_kernel_init": "normal"}
        cell: Any = ClockworkRNNCell(2, 12, dtype=F64, **options)
        x, (h, s) = normal(2), cell.init_hidden()
        seen: Any = torch.autograd.functional.jacobian(lambda h: cell(x, (h, s))[0], h)  # noqa: B023
        period = cell.weight_period
        same_head = torch.block_diag(*[torch.ones(12 // heads, 12 // heads)] * heads).bool()
        assert torch.equal(seen != 0, (period.unsqueeze(1) <= period) & same_head)


@torch.no_grad()
def test_a_clockwork_of_one_period_is_a_simple_network() -> None:
    layer: Any = randomize(ClockworkRNN(3, 4, periods=(1,), dtype=F64))
    layer.cells[0].weight_period.fill_(1.0)
    rnn: Any = RNN(3, 4, recurrent_bias=False, dtype=F64)
    rnn.load_state_dict({name: layer.state_dict()[name] for name in rnn.state_dict()})
    x = normal(7, 2, 3)
    assert_same(layer(x)[0], rnn(x)[0])


def test_periods_that_a_clockwork_refuses() -> None:
    refused: list[tuple[Any, type[Exception], str]] = [
        ((), ValueError, "periods must not be empty"),
        ((1, 0), ValueError, "a number in periods must be greater than zero, got 0"),
        ((1, 2.0), TypeError, "a number in periods should be of type int, got: float"),
        (4, TypeError, "periods should be of type tuple of int, got: int"),
    ]
    for periods, kind, text in refused:
        with pytest.raises(kind, match=text):
            ClockworkRNNCell(3, 4, periods=periods)


@torch.no_grad()
def test_an_ea_lstm_is_an_lstm_without_what_its_gates_should_not_see() -> None:
    layer: Any = randomize(EALSTM(5, 4, static_size=2, dtype=F64))
    lstm: Any = randomize(LSTM(5, 4, recurrent_bias=False, dtype=F64))
    cell = layer.cells[0]
    for name in ("weight_ih", "weight_hh", "bias_ih"):
        for gate in "fgo":
            rows = lstm.cells[0].block(name, gate)
            rows.zero_()
            rows[..., : 3 if name == "weight_ih" else 4].copy_(cell.block(name, gate))
        lstm.cells[0].block(name, "i").zero_()
    lstm.cells[0].block("weight_ih", "i")[:, 3:] = cell.weight_static
    lstm.cells[0].block("bias_ih", "i").copy_(cell.bias_static)
    x = normal(7, 2, 5)
    assert_same(layer(x), lstm(x))


@torch.no_grad()
def test_what_is_static_decides_alone_which_units_of_an_ea_lstm_are_used() -> None:
    layer: Any = randomize(EALSTM(5, 4, static_size=2, dtype=F64))
    # of one entity the first two units, of the other the last two
    layer.cells[0].weight_static.copy_(torch.tensor([[1, -1], [1, -1], [-1, 1], [-1, 1]]))
    layer.cells[0].bias_static.zero_()
    facts = 1000 * torch.eye(2, dtype=F64)
    x = torch.cat([100 * normal(20, 2, 3), facts.expand(20, 2, 2)], -1)
    output, _ = layer(x)
    used = (output != 0).any(0)
    assert used.tolist() == [[True, True, False, False], [False, False, True, True]]


def test_a_kernel_may_see_the_first_values_of_the_input_alone() -> None:
    cell: Any = EALSTMCell(5, 4, static_size=2)
    assert cell.weight_ih.shape == (12, 3)
    assert cell.effective_parameters()["weight_ih"].shape == (12, 5)
    wide = Annotated[Tensor, ProductRole(INPUT, columns="hidden_size")]

    class WideCell(BaseRecurrentCell):
        @staticmethod
        def step(h: State, n: wide) -> Tensor:
            return h + n

    assert WideCell(5, 4).weight_ih.shape == (4, 4)
    with pytest.raises(ValueError, match="at most input_size=3 values of the input, got 4"):
        WideCell(3, 4)
    with pytest.raises(
        ValueError, match="input_size should be at least 6, more than static_size, got 5"
    ):
        EALSTMCell(5, 4, static_size=5)
