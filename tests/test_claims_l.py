"""Scientific claims of the papers of cells for missing values, and of those that train in part."""

from __future__ import annotations

import math
from typing import Any

import torch
from numpy.polynomial.legendre import Legendre
from torch import Tensor

from torchrecurrent import ESN, GRUDCell, GRUResetBeforeCell, LMUCell, Recurrent, RNNCell

from .making import assert_same, randomize

F64 = torch.float64


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=F64)


def uniform(*shape: int) -> Tensor:
    return torch.rand(*shape, dtype=F64)


@torch.no_grad()
def test_gru_d_without_gaps_and_decays_is_a_gru() -> None:
    cell: Any = randomize(GRUDCell(3, 4, dtype=F64))
    cell.weight_decay.zero_()
    cell.bias_decay.zero_()
    gru: Any = GRUResetBeforeCell(3, 4, recurrent_bias=False, dtype=F64)
    bias = cell.bias_ih + cell.weight_mh.sum(1)  # every value is observed
    for ours, theirs in (
        (cell.weight_ih, "weight_ih"),
        (bias, "bias_ih"),
        (cell.weight_hh, "weight_hh"),
    ):
        z, r, n = ours.split(4)
        sign = -1  # of the gate of what is kept
        gru.get_parameter(theirs).copy_(torch.cat([r, sign * z, n]))
    x, h = normal(2, 3), normal(2, 4)
    assert_same(cell(x, (h, normal(2, 3), uniform(2, 3)), dt=uniform(2))[0], gru(x, h))


@torch.no_grad()
def test_what_is_missing_in_gru_d_fades_from_the_last_observation_to_the_mean() -> None:
    cell: Any = randomize(GRUDCell(3, 4, dtype=F64))
    cell.weight_mh.zero_()
    cell.weight_decay.zero_()
    cell.bias_decay.zero_()
    rate = torch.tensor([0.5, 0.25, 2.0], dtype=F64)
    cell.weight_fade.copy_(torch.cat([rate, 0 * rate]))
    h, mean, none = normal(1, 4), cell.weight_mean, torch.full((1, 3), math.nan, dtype=F64)
    start, zero = (h, *cell.init_hidden(1)[1:]), torch.zeros(1, dtype=F64)
    assert_same(cell(none, start)[0], cell(mean.unsqueeze(0), start)[0])
    x = normal(1, 3)
    after = (h, *cell(x, start)[1:])
    assert_same(cell(none, after, dt=zero)[0], cell(x, start)[0])
    for half_lives in (
        1,
        2,
    ):  # of the first value; half as many of the second, four times of the third
        dt = torch.full((1,), half_lives * math.log(2) / 0.5, dtype=F64)
        left = 0.5 ** (half_lives * rate / 0.5)
        expected = cell(mean + left * (x - mean), start)[0]
        assert_same(cell(none, after, dt=dt)[0], expected)
        # the time counts from the last observation of each value
        waited = (h, *cell(none, after, dt=dt / 2)[1:])
        assert_same(cell(none, waited, dt=dt / 2)[0], expected)


@torch.no_grad()
def test_gru_d_takes_the_time_of_each_value_over_a_sequence() -> None:
    cell: Any = randomize(GRUDCell(3, 4, dtype=F64))
    x, dt = normal(6, 1, 3), uniform(6, 1)
    x[1:4, :, 0], x[2:, :, 1] = math.nan, math.nan
    layer: Any = Recurrent(cell, 3, 4)
    _, (_, v, e) = layer(x, dt=dt)
    mean = cell.weight_mean
    assert_same(v[0][0] + mean, torch.stack([x[5, 0, 0], x[1, 0, 1], x[5, 0, 2]]))
    assert_same(e[0][0], torch.stack([0 * dt[0, 0], dt[2:, 0].sum(), 0 * dt[0, 0]]))


@torch.no_grad()
def test_the_memory_of_an_lmu_holds_the_last_theta_steps() -> None:
    order, theta = 16, 100.0
    cell: Any = LMUCell(1, 2, order=order, theta=theta, dtype=F64)
    cell.weight_xu.fill_(1.0)
    cell.weight_hu.zero_()  # the signal is the input
    time = torch.arange(400, dtype=F64)
    layer: Any = Recurrent(cell, 1, 2)
    _, (_, m) = layer(torch.sin(time / 30).view(-1, 1, 1))
    for delay in (0.0, 10.0, 37.0, 50.0, 90.0, 100.0):
        values = [float(Legendre.basis(i)(2 * delay / theta - 1)) for i in range(order)]
        shown = torch.tensor(values, dtype=F64)
        # an input that is held for a step lies half a step back; what is left of the series after
        # 16 polynomials is largest at the window's ends, where 0.006 was measured
        expected = torch.sin((time[-1] + 0.5 - delay) / 30)
        assert_same((m[0][0] * shown).sum(), expected, 0.01)


@torch.no_grad()
def test_an_lmu_that_does_not_read_its_memory_is_a_simple_network() -> None:
    cell: Any = randomize(LMUCell(3, 4, dtype=F64))
    cell.weight_mh.zero_()
    rnn: Any = RNNCell(3, 4, dtype=F64)
    rnn.load_state_dict({name: cell.state_dict()[name] for name in rnn.state_dict()})
    x, h = normal(2, 3), normal(2, 4)
    assert_same(cell(x, (h, normal(2, 8)))[0], rnn(x, h))


def test_an_optimiser_leaves_the_memory_of_an_lmu_alone_unless_told_otherwise() -> None:
    for frozen, moves in ((("weight_mm", "weight_um"), False), ((), True)):
        layer: Any = Recurrent(LMUCell, 3, 4, frozen=frozen)
        cell = layer.cells[0]
        before = [cell.weight_mm.clone(), cell.weight_um.clone()]
        optimiser = torch.optim.SGD(layer.parameters(), 0.1, weight_decay=0.1)
        layer(torch.randn(5, 2, 3))[0].sum().backward()
        optimiser.step()
        for old, new in zip(before, (cell.weight_mm, cell.weight_um), strict=True):
            assert torch.equal(old, new) is not moves


@torch.no_grad()
def test_the_state_of_an_esn_is_an_echo_of_its_input_alone() -> None:
    layer: Any = ESN(2, 50, dtype=F64)
    radius = torch.linalg.eigvals(layer.cells[0].weight_hh).abs().max()
    assert_same(radius, torch.tensor(0.9, dtype=F64), 1e-9)  # of a matrix that is far from normal
    x = normal(400, 1, 2)
    _, one = layer(x, normal(1, 1, 50))
    _, other = layer(x, normal(1, 1, 50))
    assert_same(one, other)


def test_nothing_of_an_esn_is_trained_but_what_comes_before_it_is() -> None:
    layer: Any = ESN(2, 50, alpha=0.3)
    assert not any(each.requires_grad for each in layer.parameters())
    x = torch.randn(5, 3, 2, requires_grad=True)
    (grad,) = torch.autograd.grad(layer(x)[0].sum(), x)
    assert bool(grad.any())
