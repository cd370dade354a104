"""Scientific claims of the papers of some cells that are simple or cheap in time."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from torchrecurrent import (
    PLRNN,
    GILRLSTMCell,
    GRU1Cell,
    GRU2Cell,
    GRU3Cell,
    GRUResetBeforeCell,
    LRCUCell,
    LRNCell,
    MGU1Cell,
    MGU2Cell,
    MGU3Cell,
    MGUCell,
    PLRNNCell,
    RWKV4Cell,
    SLiGRUCell,
    eLSTM,
    eLSTMCell,
)
from torchrecurrent.constraints import off_diagonal

from .making import assert_same, randomize

F64 = torch.float64


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=F64)


@torch.no_grad()
def test_lrn_with_opposite_gates_is_a_moving_average() -> None:
    cell: Any = randomize(LRNCell(3, 4, nonlinearity="identity", dtype=F64))
    for name in ("weight_ih", "bias_ih"):
        cell.block(name, "q").copy_(-cell.block(name, "p"))
    x, h = normal(50, 3), normal(50, 4)
    new = cell(x, h)
    value = x @ cell.block("weight_ih", "r").T + cell.block("bias_ih", "r")
    assert bool((torch.minimum(value, h) <= new).all())
    assert bool((new <= torch.maximum(value, h)).all())


def test_the_memory_of_elstm_is_bounded_and_its_output_smaller() -> None:
    layer = eLSTM(3, 4, dtype=F64)
    for size in (0.5, 10.0):
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.normal_(0, size)
            output, c = layer(normal(200, 2, 3))
        assert float(c.abs().max()) <= 1
        assert bool((output[-1].abs() <= c[0].abs()).all())


def test_elstm_has_its_gradient_forwards_in_time() -> None:
    """A sensitivity for each weight of a unit, which the step scales and adds to."""
    cell: Any = randomize(eLSTMCell(3, 4, dtype=F64))
    inputs, c = normal(7, 1, 3), torch.zeros(1, 4, dtype=F64)
    sensitivity = torch.zeros(4, dtype=F64)
    u = cell.get_parameter("weight_hh")
    for x in inputs:
        kept = c.detach().requires_grad_()
        _, new = cell(x, kept)
        by_state, by_weight = torch.autograd.grad(new.sum(), (kept, u))
        sensitivity = by_state[0] * sensitivity + by_weight[:4]  # of the candidate's weights
        c = new.detach()
    c = torch.zeros(1, 4, dtype=F64)
    for x in inputs:
        _, c = cell(x, c)
    (whole,) = torch.autograd.grad(c.sum(), u)
    assert_same(sensitivity, whole[:4])


@torch.no_grad()
def test_sli_gru_does_not_see_the_scale_of_its_recurrent_kernel() -> None:
    cell: Any = randomize(SLiGRUCell(3, 4, layer_norm_eps=0.0, dtype=F64))
    x, h = normal(5, 3), normal(5, 4)
    before = cell(x, h)
    cell.get_parameter("weight_hh").mul_(7.0)
    assert_same(cell(x, h), before)


@torch.no_grad()
def test_plrnn_is_linear_while_no_unit_changes_its_sign() -> None:
    cell: Any = randomize(PLRNNCell(3, 4, dtype=F64))
    x, z = normal(1, 3), normal(1, 4)
    sign = z.sign()
    near = sign * (z.abs() + torch.rand(1, 4, dtype=F64))
    matrix = off_diagonal(cell.get_parameter("weight_hh")) * (sign[0] > 0)
    matrix += cell.get_parameter("weight_a").diag()
    assert_same(cell(x, near) - cell(x, z), (near - z) @ matrix.T)


@torch.no_grad()
def test_a_fixed_point_of_plrnn_is_computed_exactly() -> None:
    cell: Any = randomize(PLRNNCell(3, 4, dtype=F64))
    x = normal(1, 3)
    matrix = off_diagonal(cell.get_parameter("weight_hh")) + cell.get_parameter("weight_a").diag()
    drive = (x @ cell.get_parameter("weight_ih").T)[0]
    point = torch.rand(4, dtype=F64) + 0.1  # all units are active
    cell.get_parameter("bias_ih").copy_((torch.eye(4, dtype=F64) - matrix) @ point - drive)
    assert_same(cell(x, point.unsqueeze(0))[0], point)


def test_plrnn_starts_without_growth_and_its_parameters_diagonal_does_not_count() -> None:
    for _ in range(20):
        cell: Any = PLRNN(3, 30, dtype=F64).cells[0]
        with torch.no_grad():
            kernel, decay = cell.get_parameter("weight_hh"), cell.get_parameter("weight_a")
            radius = torch.linalg.eigvals(off_diagonal(kernel) + decay.diag()).abs().max()
            assert float(radius) <= 1
            x, z = normal(2, 3), normal(2, 30)
            before = cell(x, z)
            kernel.add_(torch.eye(30, dtype=F64))
            assert_same(cell(x, z), before, 0)
    cell(x, z).sum().backward()
    assert not kernel.grad.diag().any()


@torch.no_grad()
def test_gilr_lstm_is_two_linear_recurrences() -> None:
    """Its first state is linear in itself; given that, so is the other."""
    cell: Any = randomize(GILRLSTMCell(3, 4, dtype=F64))
    x, s, c = normal(1, 3), normal(3, 4), normal(3, 4)
    _, (new, _) = cell(x.expand(3, 3), (torch.stack([s[0], s[1], 3 * s[0] - 2 * s[1]]), c))
    assert_same(new[2], 3 * new[0] - 2 * new[1])
    memories = torch.stack([c[0], c[1], 3 * c[0] - 2 * c[1]])
    _, (_, new) = cell(x.expand(3, 3), (s[:1].expand(3, 4), memories))
    assert_same(new[2], 3 * new[0] - 2 * new[1])


@pytest.mark.parametrize("dt", [0.1, 1.0])
@torch.no_grad()
def test_an_lrcu_without_a_reversal_potential_leaks_to_zero(dt: float) -> None:
    cell: Any = randomize(LRCUCell(3, 4, dt=dt, dtype=F64))
    cell.block("weight_neuron", "e").zero_()
    h = normal(50, 4)
    kept = cell(normal(50, 3), h) / h
    assert 0 < float(kept.min()) <= float(kept.max()) < 1


def copied(cell: Any, reset_before: Any, gates: bool, biases: bool) -> None:
    """Copy what a variant has of a GRU, whose z is 1 - z; what it lacks is zero."""
    for parameter in reset_before.parameters():
        parameter.zero_()
    pairs = [("weight_ih", "n", "n"), ("bias_ih", "n", "n"), ("weight_hh", "U", "U")]
    if gates:
        pairs += [("weight_hh", "z", "z"), ("weight_hh", "r", "r")]
    if biases:
        pairs += [("bias_hh", name, name) for name in "zrU"]
    for parameter, ours, theirs in pairs:
        block = cell.block(parameter, ours)
        reset_before.block(parameter, theirs).copy_(-block if ours == "z" else block)


@torch.no_grad()
def test_gru_1_to_3_are_grus_that_lack_some_weights() -> None:
    gru: Any = GRUResetBeforeCell(3, 4, dtype=F64)
    x, h = normal(2, 3), normal(2, 4)
    for kind, gates, biases in ((GRU1Cell, True, True), (GRU2Cell, True, False)):
        cell: Any = randomize(kind(3, 4, dtype=F64))
        copied(cell, gru, gates, biases)
        assert_same(cell(x, h), gru(x, h))
    cell = randomize(GRU3Cell(3, 4, dtype=F64))
    copied(cell, gru, False, False)
    gru.block("bias_hh", "U").copy_(cell.block("bias_hh", "U"))
    gru.block("bias_hh", "z").copy_(-cell.block("weight_gate", "b_z"))
    gru.block("bias_hh", "r").copy_(cell.block("weight_gate", "b_r"))
    assert_same(cell(x, h), gru(x, h))


@torch.no_grad()
def test_rwkv_is_a_weighted_average_that_no_key_overflows() -> None:
    """In float32, where the exponential of 100 is infinite and that of -200 is zero."""
    cell: Any = randomize(RWKV4Cell(4, 4, bias=False))
    cell.get_parameter("weight_mix").fill_(1)  # the input before does not count
    for name, size in (("K", 1.0), ("V", 1.0), ("R", 0.0)):
        cell.block("weight_ih", name).copy_(size * torch.eye(4))
    cell.get_parameter("weight_out").copy_(torch.eye(4))
    inputs = torch.tensor([-200.0, 150.0, 151.0, -100.0, 90.0]).view(5, 1, 1).expand(5, 1, 4)
    hx: Any = None
    outputs = []
    for x in inputs:
        output, hx = cell(x, hx)
        outputs.append(2 * output[0])  # the gate r is half open
    decay, bonus = cell.get_parameter("weight_decay").exp(), cell.get_parameter("weight_bonus")
    for t, output in enumerate(outputs):
        age = torch.arange(t - 1, -2, -1).clamp(min=0).unsqueeze(1)  # of the newest: the bonus
        exponents = inputs[: t + 1, 0].double() - age * decay.double()
        exponents[t] += bonus
        weights = exponents.softmax(0)
        expected = (weights * inputs[: t + 1, 0].double()).sum(0)
        # ten roundings of float32 at size 200
        assert_same(output.double(), expected, 200 * 10 * 1.2e-7)
    assert all(bool(state.isfinite().all()) for state in hx)


@torch.no_grad()
def test_mgu_1_to_3_are_mgus_that_lack_some_weights() -> None:
    mgu: Any = MGUCell(3, 4, dtype=F64)
    x, h = normal(2, 3), normal(2, 4)
    for kind, bias in ((MGU1Cell, True), (MGU2Cell, False), (MGU3Cell, True)):
        cell: Any = randomize(kind(3, 4, dtype=F64))
        for parameter in mgu.parameters():
            parameter.zero_()
        names = ["n", "U"] if kind is MGU3Cell else ["n", "U", "f"]
        for name in names:
            stacks = ("weight_ih", "bias_ih") if name == "n" else ("weight_hh", "bias_hh")
            for stack in stacks[: 2 if bias or name == "n" else 1]:
                mgu.block(stack, name).copy_(cell.block(stack, name))
        if kind is MGU3Cell:
            mgu.block("bias_hh", "f").copy_(cell.block("weight_gate", "b_f"))
        assert_same(cell(x, h), mgu(x, h))
