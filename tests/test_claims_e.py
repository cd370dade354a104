"""One scientific claim a paper: mutations of the GRU, and LSTMs and networks with one gate."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from torchrecurrent import (
    LSTM,
    STAR,
    BaseRecurrentCell,
    GRUCell,
    GRUResetBeforeCell,
    LSTMCell,
    MUT1Cell,
    MUT2Cell,
    MUT3Cell,
    NASCell,
    OriginalLSTM,
    OriginalLSTMCell,
    RecurrentLayer,
    ResLSTM,
    ResLSTMCell,
    STARCell,
    TLSTMCell,
    TRNNCell,
    UGRNNCell,
    WMCLSTMCell,
)

from .making import randomize


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def update_gate(cell: BaseRecurrentCell, x: Tensor, h: Tensor) -> Tensor:
    """The gate z of a MUT cell whose candidate is zero: its new state is (1 - z) h."""
    z: Tensor = 1 - cell(x, h) / h
    return z


@pytest.mark.parametrize(
    ("kind", "sees_state", "is_bounded"),
    [(MUT1Cell, False, True), (MUT2Cell, True, False), (MUT3Cell, True, True)],
)
def test_what_the_update_gate_of_a_mut_sees(
    kind: type[BaseRecurrentCell], sees_state: bool, is_bounded: bool
) -> None:
    cell = randomize(kind(3, 4, dtype=torch.float64))
    with torch.no_grad():
        for side, block in (("ih", "n"), ("hh", "U")):
            cell.block(f"weight_{side}", block).zero_()
            cell.block(f"bias_{side}", block).zero_()
    x, h = draw(3), draw(4).abs() + 0.7
    gates = [update_gate(cell, x, scale * h) for scale in (1.0, 30.0, 60.0)]

    def close(one: Tensor, other: Tensor) -> bool:
        return torch.allclose(one, other, rtol=0, atol=1e-12)  # many roundings of float64

    assert (not close(gates[0], gates[1])) is sees_state
    # 30 h is so large that tanh is one to the last bit
    assert close(gates[1], gates[2]) is is_bounded


def test_mut1_with_an_identity_kernel_reads_the_bare_input() -> None:
    cell = randomize(MUT1Cell(4, 4, dtype=torch.float64))
    with torch.no_grad():
        cell.block("weight_ih", "n").copy_(torch.eye(4))
        cell.block("bias_ih", "n").zero_()
        cell.block("bias_ih", "z").fill_(1000)  # the new state is the candidate
    x, h = draw(4), draw(4)
    W, U = cell.block("weight_ih", "r"), cell.block("weight_hh", "r")
    r = torch.sigmoid(W @ x + U @ h + cell.block("bias_ih", "r") + cell.block("bias_hh", "r"))
    candidate = cell.block("weight_hh", "U") @ (r * h) + cell.block("bias_hh", "U")
    torch.testing.assert_close(cell(x, h), torch.tanh(candidate + torch.tanh(x)))


def test_mut2_is_the_gru_of_2014_with_its_update_gate_turned_round() -> None:
    mut = randomize(MUT2Cell(3, 4, dtype=torch.float64))
    gru = GRUResetBeforeCell(3, 4, dtype=torch.float64)
    with torch.no_grad():
        for name in ("weight_ih", "bias_ih"):
            gru.block(name, "r").copy_(mut.block(name, "r"))
            gru.block(name, "z").copy_(-mut.block(name, "z"))
            gru.block(name, "n").copy_(mut.block(name, "n"))
        for name in ("weight_hh", "bias_hh"):
            gru.block(name, "r").copy_(mut.block(name, "r"))
            gru.block(name, "z").copy_(-mut.block(name, "z"))
            gru.block(name, "U").copy_(mut.block(name, "U"))
    x, h = draw(5, 3), draw(5, 4)
    torch.testing.assert_close(mut(x, h), gru(x, h))


def test_pair_three_of_a_nas_cell_multiplies() -> None:
    """Without input and biases it is zero, so its recurrent kernel makes no difference."""
    cell = randomize(NASCell(3, 4, bias=False, dtype=torch.float64))
    x, h, c = torch.zeros(3, dtype=torch.float64), draw(4), draw(4)
    before = cell(x, (h, c))[1]
    with torch.no_grad():
        cell.block("weight_hh", "h3").normal_()
    assert torch.equal(cell(x, (h, c))[1], before)
    with torch.no_grad():
        cell.block("weight_hh", "g2").normal_()
    assert not torch.equal(cell(x, (h, c))[1], before)


def test_nas_states_stay_in_the_unit_box() -> None:
    cell = randomize(NASCell(3, 4, dtype=torch.float64))
    state = cell.init_hidden()
    for x in 100 * draw(200, 3):
        state = cell(x, state)
        assert all(part.abs().max() <= 1 for part in state)


def test_the_error_carousel_of_the_first_lstm_turns_for_1000_steps() -> None:
    """With no way round through h, a cell state's gradient is exactly one, whatever comes."""
    layer = randomize(OriginalLSTM(3, 4, dtype=torch.float64))
    cell = layer.cells[0]
    assert isinstance(cell, OriginalLSTMCell)
    with torch.no_grad():
        cell.get_parameter("weight_hh").zero_()
    h, c = torch.zeros(2, 1, 1, 4, dtype=torch.float64)
    c.requires_grad_()
    _, (_, last) = layer(draw(1000, 1, 3), (h, c))
    (gradient,) = torch.autograd.grad(last.sum(), c)
    assert torch.equal(gradient, torch.ones_like(c))


def test_the_first_lstm_squashes_as_its_experiments_did() -> None:
    cell = OriginalLSTMCell(1, 1, dtype=torch.float64)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.zero_()
        cell.block("weight_ih", "g").fill_(1)
        cell.block("bias_ih", "i").fill_(1000)
        cell.block("bias_ih", "o").fill_(1000)
    zero = torch.zeros(1, dtype=torch.float64)
    for x in (-1000.0, -0.5, 0.0, 2.0, 1000.0):
        h, c = cell(torch.full_like(zero, x), (zero, zero))
        assert c.item() == pytest.approx(2 * math.tanh(x / 2))
        assert h.item() == pytest.approx(math.tanh(c.item() / 2))


def test_star_gates_start_with_times_spread_evenly_up_to_t_max() -> None:
    size, longest = 1000, 50
    for options in ({}, {"recurrent_bias": False}):
        cell = STARCell(3, size, t_max=longest, **options)  # type: ignore[arg-type]
        times = torch.exp(-cell.block("bias_ih", "k").detach()).sort().values
        assert times[0] >= 1 - 1e-4
        assert times[-1] <= longest + 1e-3  # float32 went through log and exp
        ranks = torch.linspace(1, longest, size)
        # Kolmogorov-Smirnov: 1.95 / sqrt(n) is exceeded once in a thousand seeds
        assert (times - ranks).abs().max() < (longest - 1) * 1.95 / math.sqrt(size)
        assert not cell.block("bias_ih", "z").any()
    assert not STARCell(3, size, t_max=1).get_parameter("bias_ih").any()


def test_star_has_three_eighths_of_the_weights_of_an_lstm() -> None:
    assert 8 * parameters(STARCell(9, 9, False)) == 3 * parameters(LSTMCell(9, 9, False))


def test_gradients_reach_the_bottom_of_a_stack_of_stars() -> None:
    """The paper's claim: at the start, down 12 layers, they keep their size; an LSTM's do not."""

    def ratio(layer: RecurrentLayer) -> float:
        layer(draw(20, 8, 16))[0][-1].sum().backward()
        bottom, top = (layer.cells[k].get_parameter("weight_ih").grad for k in (0, -1))
        assert bottom is not None
        assert top is not None
        return float(bottom.norm() / top.norm())

    assert 0.1 < ratio(STAR(16, 16, 12, t_max=10, dtype=torch.float64)) < 10
    assert ratio(LSTM(16, 16, 12, dtype=torch.float64)) < 1e-4


def test_the_short_cut_of_a_residual_lstm_passes_a_deep_stack() -> None:
    layer = ResLSTM(4, 4, 20, residual_init="eye", dtype=torch.float64)
    with torch.no_grad():
        for cell in layer.cells:
            assert isinstance(cell, ResLSTMCell)
            cell.block("bias_ih", "o").fill_(1000)
            cell.get_parameter("weight_proj").zero_()
    input = draw(3, 2, 4)
    assert torch.equal(layer(input)[0], input)


def test_a_ugrnn_has_two_thirds_of_a_gru_and_starts_keeping_its_state() -> None:
    assert 3 * parameters(UGRNNCell(7, 9)) == 2 * parameters(GRUCell(7, 9))
    cell = UGRNNCell(3, 4, dtype=torch.float64)
    with torch.no_grad():
        cell.get_parameter("weight_hh").zero_()
    h = draw(4)
    kept = cell(torch.zeros(3, dtype=torch.float64), h)
    torch.testing.assert_close(kept, h / (1 + math.exp(-1)))
    with torch.no_grad():
        cell.block("bias_ih", "g").fill_(1000)
    assert torch.equal(cell(draw(3), h), h)


def test_a_strongly_typed_network_is_a_moving_average_of_its_inputs() -> None:
    """It stays within the range of its projected inputs, however long the sequence."""
    cell = randomize(TRNNCell(3, 4, dtype=torch.float64))
    h = None
    inputs = 3 * draw(300, 3)
    z = inputs @ cell.block("weight_ih", "z").T + cell.block("bias_ih", "z")
    low, high = z[0].clone().clamp(max=0), z[0].clone().clamp(min=0)  # the first state is zero
    for x, value in zip(inputs, z, strict=True):
        h = cell(x, h)
        low, high = torch.minimum(low, value), torch.maximum(high, value)
        assert bool((h >= low).all() and (h <= high).all())


def test_the_output_gate_of_a_strongly_typed_lstm_leaves_its_state_alone() -> None:
    cell = randomize(TLSTMCell(3, 4, dtype=torch.float64))
    inputs = draw(10, 3)

    def run() -> tuple[Tensor, Tensor]:
        state = cell.init_hidden()
        for x in inputs:
            output, state = cell(x, state)
        return output, state[0]

    output, c = run()
    with torch.no_grad():
        cell.block("weight_ih", "o").zero_()
        cell.block("weight_hh", "o").zero_()
        cell.block("bias_ih", "o").fill_(1000)  # tanh of it is one: all of c is shown
    shown, same = run()
    assert torch.equal(same, c)
    assert torch.equal(shown, c)
    assert bool((output.abs() < c.abs()).all())


def test_a_working_memory_moves_a_gate_by_at_most_one_however_large_the_state() -> None:
    cell = randomize(WMCLSTMCell(3, 4, dtype=torch.float64))
    x, h = draw(3), draw(4)
    net = cell.block("weight_ih", "f") @ x + cell.block("weight_hh", "f") @ h
    net = net + cell.block("bias_ih", "f") + cell.block("bias_hh", "f")
    for sign in (-1, 1):
        c = sign * 1e9 * (draw(4).abs() + 0.5)
        forget = cell(x, (h, c))[1] / c  # to 1e-9 it is f, since the rest is at most one
        moved = torch.logit(forget) - net
        torch.testing.assert_close(moved.abs(), torch.ones_like(moved), rtol=0, atol=1e-6)
