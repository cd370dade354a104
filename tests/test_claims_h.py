"""Scientific claims of the papers of state-space models and other cells that are cheap in time."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from torchrecurrent import (
    DLinOSSCell,
    GRUResetBeforeCell,
    HGRNCell,
    LinOSSCell,
    ParaGRUCell,
    ParaLSTM,
    S5Cell,
)
from torchrecurrent.init import hippo

from .making import assert_same, randomize

F64 = torch.float64


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=F64)


@torch.no_grad()
def test_the_forget_gate_of_hgrn_stays_above_its_bound() -> None:
    cell = randomize(HGRNCell(3, 4, bias=False, gamma=0.9, dtype=F64))
    for size in (0.0, 1.0, 1e3):  # kernels of the forget gate; without them it is half open
        with torch.no_grad():
            cell.block("weight_ih", "mu").normal_(0, size)
            for name in ("c_re", "c_im"):  # nothing is written
                cell.block("weight_ih", name).zero_()
        state = normal(50, 4), normal(50, 4)
        _, new = cell(normal(50, 3), state)
        kept = torch.complex(*new).abs() / torch.complex(*state).abs()
        assert 0.9 - 1e-12 < float(kept.min()) <= float(kept.max()) < 1 + 1e-12
        if not size:
            assert_same(kept, torch.full_like(kept, 0.95))


@torch.no_grad()
def test_hgrn_turns_its_state_by_its_angle() -> None:
    cell = HGRNCell(3, 4, bias=False, dtype=F64)
    state = normal(1, 4), normal(1, 4)
    _, new = cell(torch.zeros(1, 3, dtype=F64), state)
    turned = torch.complex(*new) / torch.complex(*state)
    assert_same(turned.angle()[0], torch.tensor([1, 1e-2, 1e-4, 1e-6], dtype=F64))


@pytest.mark.parametrize("gamma", [-0.1, 1.0])
def test_the_bound_of_hgrn_leaves_something_to_forget(gamma: float) -> None:
    with pytest.raises(ValueError, match=f"gamma should be .* less than 1, got {gamma}"):
        HGRNCell(3, 4, gamma=gamma)


def test_para_gru_is_a_diagonal_gru() -> None:
    """The reset gate comes before the product, and z is 1 - z."""
    cell: Any = randomize(ParaGRUCell(3, 4, dtype=F64))
    gru: Any = GRUResetBeforeCell(3, 4, recurrence="diagonal", recurrent_bias=False, dtype=F64)
    with torch.no_grad():
        for parameter, last in (("weight_ih", "n"), ("bias_ih", "n"), ("weight_hh", "u")):
            for name in ("z", "r", last):
                block = cell.block(parameter, name)
                name = "U" if name == "u" else name
                gru.block(parameter, name).copy_(-block if name == "z" else block)
    x, h = normal(2, 3), normal(2, 4)
    assert_same(cell(x, h), gru(x, h))


def test_the_memory_of_para_lstm_is_bounded() -> None:
    """It is a moving average of values between -1 and 1."""
    layer = ParaLSTM(3, 4, dtype=F64)
    for size in (0.5, 10.0):
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.normal_(0, size)
        _, (h, c) = layer(normal(200, 2, 3))
        assert float(c.detach().abs().max()) <= 1
        assert float(h.detach().abs().max()) < 1


def transition(cell: Any) -> Tensor:
    """For each unit what a step without input does to y and z, a 2 x 2 matrix."""
    ones, zeros = torch.ones(1, 5, dtype=F64), torch.zeros(1, 5, dtype=F64)
    columns = []
    for y, z in ((ones, zeros), (zeros, ones)):
        _, (y_re, _, z_re, _) = cell(torch.zeros(1, 3, dtype=F64), (y, zeros, z, zeros))
        columns.append(torch.cat([y_re, z_re]))
    return torch.stack(columns, 1).permute(2, 0, 1)


@torch.no_grad()
def test_d_linoss_is_stable_whatever_it_learns_and_oscillates() -> None:
    """Eigenvalues are pairs of conjugates, and none is outside the unit circle."""
    cell: Any = DLinOSSCell(3, 5, bias=False, dtype=F64)
    for size in (0.1, 1.0, 10.0, 100.0):
        for name in ("weight_a", "weight_g", "weight_dt"):
            cell.get_parameter(name).normal_(0, min(size, 10) if name == "weight_dt" else size)
        pairs = torch.linalg.eigvals(transition(cell))
        # at the ends of A's range both are equal, and found to half the digits
        assert float(pairs.abs().max()) < 1 + 1e-7
        assert_same(pairs.abs()[:, 0], pairs.abs()[:, 1], 1e-6)


@torch.no_grad()
def test_d_linoss_starts_with_eigenvalues_in_a_ring() -> None:
    cell: Any = DLinOSSCell(3, 5, bias=False, dtype=F64)
    for _ in range(20):
        cell.reset_parameters()
        values = torch.linalg.eigvals(transition(cell)).abs()
        assert 0.9 - 1e-6 < float(values.min()) <= float(values.max()) < 1 + 1e-6


@torch.no_grad()
def test_d_linoss_without_damping_is_linoss_imex() -> None:
    cell: Any = randomize(DLinOSSCell(3, 4, dtype=F64))
    cell.get_parameter("weight_g").fill_(-1)
    cell.get_parameter("weight_a").abs_()  # below 4 / dt^2
    plain = LinOSSCell(3, 4, discretization="IMEX", dtype=F64)
    more = plain.load_state_dict(cell.state_dict(), strict=False)
    assert not more.missing_keys
    assert more.unexpected_keys == ["weight_g"]
    x, states = normal(2, 3), tuple(normal(2, 4) for _ in range(4))
    assert_same(cell(x, states), plain(x, states))


def test_s5_starts_with_the_eigenvalues_of_hippo() -> None:
    """Half of those of its normal part, whose real parts are all -1/2."""
    n = torch.arange(8, dtype=F64)
    root = (2 * n + 1).sqrt()
    legs = n.diag() - torch.outer(root, root).tril()  # HiPPO-LegS: its diagonal is -(n + 1)
    normal_part = legs + torch.outer(root, root) / 2
    eigenvalues = torch.linalg.eigvals(normal_part)
    cell = S5Cell(3, 4, dtype=F64)
    assert_same(eigenvalues.real, torch.full((8,), -0.5, dtype=F64))
    frequencies = cell.get_parameter("weight_im").detach()
    assert_same(frequencies, eigenvalues.imag.sort().values[:4])
    assert_same(cell.get_parameter("weight_re").detach(), torch.full((4,), -0.5, dtype=F64))
    twice = hippo(2)(torch.empty(8, dtype=F64))
    assert_same(twice, frequencies.repeat(2))


def test_hippo_wants_units_that_its_blocks_divide() -> None:
    with pytest.raises(ValueError, match=r"hippo: blocks should be at least 1, got 0"):
        hippo(0)
    with pytest.raises(ValueError, match=r"a vector that 3 blocks divide, got \(4,\)"):
        S5Cell(3, 4, im_kernel_init=hippo(3))


@torch.no_grad()
def test_two_half_steps_of_s5_are_one() -> None:
    """Its differential equation is solved exactly for an input that does not change."""
    cell = randomize(S5Cell(3, 4, dtype=F64))
    x, states = normal(2, 3), (normal(2, 4), normal(2, 4))
    _, whole = cell(x, states)
    cell.get_parameter("weight_dt").sub_(math.log(2))
    _, half = cell(x, states)
    assert_same(cell(x, half)[1], whole)


@torch.no_grad()
def test_s5_is_stable_whatever_it_learns() -> None:
    cell = randomize(S5Cell(3, 4, bias=False, dtype=F64))
    for size in (1.0, 100.0):
        cell.get_parameter("weight_re").normal_(0, size)
        state = normal(9, 4), normal(9, 4)
        _, new = cell(torch.zeros(9, 3, dtype=F64), state)
        assert bool((torch.complex(*new).abs() < torch.complex(*state).abs()).all())


@torch.no_grad()
def test_the_first_step_of_s5_is_exact_where_it_is_short() -> None:
    """In float32 the exponential minus 1 itself would be off by 1e-4 here."""
    steps = []
    for dtype in (F64, torch.float32):
        torch.manual_seed(0)
        cell = S5Cell(1, 4, bias=False, dtype=F64).to(dtype)
        cell.get_parameter("weight_dt").fill_(-7)
        cell.block("weight_ih", "b_re").fill_(1)
        cell.block("weight_ih", "b_im").fill_(0)
        steps.append(cell(torch.ones(1, 1, dtype=dtype))[1][0].double())
    # some ten roundings of half of 1.2e-7
    assert float((steps[1] / steps[0] - 1).abs().max()) < 6e-7
