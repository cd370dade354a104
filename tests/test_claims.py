"""One scientific claim a paper, where a test can hold it."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from torchrecurrent import (
    BRCell,
    GRUCell,
    GRUResetBeforeCell,
    IndRNN,
    IntersectionRNN,
    IntersectionRNNCell,
    LEMCell,
    LSTMCell,
    MGUCell,
    PeepholeLSTMCell,
    RNNCell,
    TGRUCell,
    URGRUCell,
    URLSTMCell,
    coRNN,
    nBRCell,
    sLSTM,
    sLSTMCell,
    tauGRU,
)

from .making import randomize


def parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def fixed_points(a: float, c: float) -> list[float]:
    """The states at which a BRC unit ends up without input, from starts all over (-1, 1)."""
    cell = BRCell(1, 1, dtype=torch.float64)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.zero_()
        cell.block("bias_ih", "a").fill_(math.atanh(a - 1))
        cell.block("bias_ih", "c").fill_(math.log(c / (1 - c)))
        h = torch.linspace(-1, 1, 20, dtype=torch.float64).unsqueeze(1)
        for _ in range(4000):
            h = cell(torch.zeros(20, 1, dtype=torch.float64), h)
    return sorted({round(value, 6) + 0.0 for value in h.flatten().tolist()})


@pytest.mark.parametrize("c", [0.1, 0.9])
@pytest.mark.parametrize("a", [0.5, 0.9, 1.1, 1.5, 1.9])
def test_a_brc_unit_is_bistable_if_and_only_if_a_exceeds_one(a: float, c: float) -> None:
    points = fixed_points(a, c)
    if a < 1:
        assert points == [0.0]
        return
    low, high = points
    assert low == -high
    assert high == pytest.approx(math.tanh(a * high), abs=1e-5)


def test_units_of_an_nbrc_modulate_each_other_and_those_of_a_brc_do_not() -> None:
    for kind, mixes in ((BRCell, False), (nBRCell, True)):
        cell = randomize(kind(2, 3, dtype=torch.float64))
        h = torch.randn(3, dtype=torch.float64)
        moved = h + torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
        x = torch.randn(2, dtype=torch.float64)
        assert (not torch.equal(cell(x, h)[1:], cell(x, moved)[1:])) is mixes


@pytest.mark.parametrize("hidden_size", [1, 2, 3, 1000])
@pytest.mark.parametrize("options", [{}, {"recurrent_bias": False}], ids=str)
@pytest.mark.parametrize("kind", [URLSTMCell, URGRUCell])
def test_refined_gates_start_uniform(kind: Any, hidden_size: int, options: dict[str, bool]) -> None:
    cell = kind(3, hidden_size, dtype=torch.float64, **options)

    def total(gate: str) -> Tensor:
        biases = [name for name in ("bias_ih", "bias_hh") if name in cell.state_dict()]
        return sum((cell.block(name, gate).detach() for name in biases), torch.zeros(()))

    forget, refine = total("f"), total("r")
    assert torch.equal(refine, -forget)
    gates = torch.sigmoid(forget)
    margin = min(1 / hidden_size, 0.5)
    assert gates.min() >= margin - 1e-12
    assert gates.max() <= 1 - margin + 1e-12
    if hidden_size == 1000:
        ranks = torch.linspace(margin, 1 - margin, hidden_size, dtype=torch.float64)
        # Kolmogorov-Smirnov: 1.95 / sqrt(n) is exceeded once in a thousand seeds
        assert (gates.sort().values - ranks).abs().max() < 1.95 / math.sqrt(hidden_size)
    biases = [name for name in ("bias_ih", "bias_hh") if name in cell.state_dict()]
    with torch.no_grad():
        for name in biases:
            cell.block(name, "f").zero_()
            cell.block(name, "r").zero_()
            assert not cell.get_parameter(name).any()  # those of all others were


def test_a_refine_gate_moves_the_forget_gate_by_at_most_f_times_one_minus_f() -> None:
    f = torch.linspace(0.01, 0.99, 50, dtype=torch.float64)
    reach = []
    for r in (0.0, 0.5, 1.0):
        refine = torch.logit(torch.full_like(f, r))
        one = torch.ones_like(f)  # with c = 1 and u = 0 the new c is the effective gate
        _, g = URLSTMCell.step(0 * f, one, torch.logit(f), refine, 0 * f, 0 * f)
        reach.append(g - f)
    assert torch.allclose(reach[0], -f * (1 - f))
    assert torch.allclose(reach[1], 0 * f, atol=1e-12)
    assert torch.allclose(reach[2], f * (1 - f))


def test_an_indrnn_at_its_bound_carries_gradients_over_500_steps() -> None:
    steps = 500
    layer = IndRNN(1, 8, dtype=torch.float64)
    with torch.no_grad():
        layer.cells[0].get_parameter("vector_u").fill_(2 ** (1 / steps))
        layer.cells[0].get_parameter("weight_ih").fill_(1.0)
    input = torch.rand(steps, 1, 1, dtype=torch.float64).requires_grad_()
    layer(input)[0][-1].sum().backward()
    assert input.grad is not None
    ratio = input.grad[0] / input.grad[-1]
    assert ratio.item() == pytest.approx(2 ** ((steps - 1) / steps))


def test_an_mgu_has_two_thirds_of_a_gru() -> None:
    assert 3 * parameters(MGUCell(7, 9)) == 2 * parameters(GRUCell(7, 9))


def test_a_reset_gate_at_zero_hides_the_state_from_the_candidate() -> None:
    cell = randomize(GRUResetBeforeCell(3, 4, dtype=torch.float64))
    with torch.no_grad():
        cell.block("bias_ih", "r").fill_(-1000)
        cell.block("bias_ih", "z").fill_(-1000)
    x = torch.randn(3, dtype=torch.float64)
    states = torch.randn(2, 4, dtype=torch.float64)
    assert torch.equal(cell(x, states[0]), cell(x, states[1]))


def test_an_lstm_with_open_forget_gate_keeps_its_cell_state() -> None:
    cell = randomize(LSTMCell(3, 4, dtype=torch.float64))
    with torch.no_grad():
        cell.block("bias_ih", "f").fill_(1000)
        cell.block("bias_ih", "i").fill_(-1000)
    h, c = torch.randn(2, 4, dtype=torch.float64)
    assert torch.equal(cell(torch.randn(3, dtype=torch.float64), (h, c))[1], c)


def test_the_output_peephole_sees_the_new_cell_state() -> None:
    cell = randomize(PeepholeLSTMCell(3, 4, dtype=torch.float64))
    with torch.no_grad():
        cell.block("bias_ih", "f").fill_(-1000)  # the old cell state is forgotten
        cell.block("weight_ph", "p_i").zero_()
        cell.block("weight_ph", "p_f").zero_()
    x, h = torch.randn(3, dtype=torch.float64), torch.randn(4, dtype=torch.float64)
    outputs = [cell(x, (h, c))[0] for c in torch.randn(2, 4, dtype=torch.float64)]
    assert torch.equal(*outputs)


def test_an_rnn_with_identity_kernel_and_relu_adds_its_inputs_up() -> None:
    cell = RNNCell(
        4, 4, bias=False, nonlinearity="relu", kernel_init="eye", recurrent_kernel_init="eye"
    )
    h, inputs = torch.zeros(4), torch.rand(10, 4)
    for x in inputs:
        h = cell(x, h)
    torch.testing.assert_close(h, inputs.sum(0))


def test_lem_states_stay_in_the_unit_box() -> None:
    cell = randomize(LEMCell(3, 4, dtype=torch.float64))
    state = cell.init_hidden()
    for x in 10 * torch.randn(200, 3, dtype=torch.float64):
        state = cell(x, state)
        assert all(part.abs().max() <= 1 for part in state)


def test_cornn_gradients_stay_bounded_over_1000_steps() -> None:
    layer = coRNN(1, 8, dt=0.01, gamma=1.0, epsilon=1.0, dtype=torch.float64)
    gains = []
    for steps in (10, 1000):
        input = torch.randn(steps, 1, 1, dtype=torch.float64).requires_grad_()
        h = layer.init_hidden(1)[0].requires_grad_()
        output, _ = layer(input, (h, torch.zeros_like(h)))
        output[-1].sum().backward()
        gains.append(0.0 if h.grad is None else h.grad.abs().max().item())
    # damped oscillators: a state's influence neither grows nor is gone at once
    assert gains[1] < 2
    assert gains[0] == pytest.approx(1, abs=0.1)


def test_an_open_depth_gate_passes_the_input_up_a_deep_stack() -> None:
    layer = IntersectionRNN(4, 4, 20, dtype=torch.float64)
    with torch.no_grad():
        for cell in layer.cells:
            assert isinstance(cell, IntersectionRNNCell)
            cell.block("bias_ih", "g_y").fill_(1000)
    input = torch.randn(3, 2, 4, dtype=torch.float64)
    assert torch.equal(layer(input)[0], input)


def test_a_strongly_typed_gru_forgets_a_state_by_its_gates_product() -> None:
    cell = randomize(TGRUCell(3, 4, dtype=torch.float64))
    inputs = torch.randn(6, 3, dtype=torch.float64)
    forget = torch.ones(4, dtype=torch.float64)
    past = torch.zeros(3, dtype=torch.float64)
    for x in inputs:
        gate = cell.block("weight_ih", "f") @ x + cell.block("weight_hh", "f") @ past
        gate = gate + cell.block("bias_ih", "f") + cell.block("bias_hh", "f")
        forget, past = forget * torch.sigmoid(gate), x
    ends = []
    for start in (0.0, 1.0):
        state = (torch.full((4,), start, dtype=torch.float64), 0 * inputs[0])
        for x in inputs:
            state = cell(x, state)
        ends.append(state[0])
    torch.testing.assert_close(ends[1] - ends[0], forget)


def test_a_tau_gru_sees_a_state_again_after_its_delay() -> None:
    """With the present shut out, a change of the state shows again delay + 1 steps later."""
    delay = 3
    layer = tauGRU(1, 2, delay=delay, dtype=torch.float64)
    cell: Any = layer.cells[0]
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.zero_()
        cell.block("weight_hh", "z").copy_(torch.eye(2))
        cell.block("bias_ih", "g").fill_(1000)  # h = u + a z
        cell.block("bias_ih", "a").fill_(1000)
    h = torch.tensor([[[0.5, -0.25]]], dtype=torch.float64)
    line = torch.zeros(1, 1, 2 * delay, dtype=torch.float64)
    output, _ = layer(torch.zeros(2 * delay + 2, 1, 1, dtype=torch.float64), (h, line))
    shown = [step for step, value in enumerate(output[:, 0]) if bool(value.any())]
    assert shown == [delay, 2 * delay + 1]
    torch.testing.assert_close(output[delay], torch.tanh(h[0]))


def test_slstm_normalisation_keeps_the_output_bounded_and_finite() -> None:
    layer = sLSTM(3, 4, num_heads=2)
    output, (h, c, n, m) = layer(1000 * torch.randn(200, 2, 3))
    assert output.isfinite().all()
    assert output.abs().max() <= 1
    assert (n >= 1).all()  # one of the two gates is always fully open
    assert all(state.isfinite().all() for state in (h, c, m))


def test_slstm_equals_its_form_without_stabiliser() -> None:
    cell = randomize(sLSTMCell(3, 4, dtype=torch.float64))
    x = torch.randn(6, 3, dtype=torch.float64)
    state: Any = None
    c, n = torch.zeros(4, dtype=torch.float64), torch.zeros(4, dtype=torch.float64)
    h = torch.zeros(4, dtype=torch.float64)
    p = {name: value.detach() for name, value in cell.named_parameters()}
    for step in x:
        gates = p["weight_ih"] @ step + p["weight_hh"] @ h + p["bias_ih"] + p["bias_hh"]
        i, f, z, o = gates.chunk(4)
        i, f = i.exp(), logsigmoid(f).exp()
        c, n = f * c + i * z.tanh(), f * n + i
        h = o.sigmoid() * c / n
        state = cell(step, state)
        torch.testing.assert_close(state[0], h)
