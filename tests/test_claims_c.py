"""Claims of the papers of FastRNN to LiGRU, where a test can hold them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from torchrecurrent import (
    RHN,
    FastGRNNCell,
    FastRNNCell,
    LiGRU,
    MCLSTMCell,
    MultiplicativeLSTMCell,
    RHNCell,
    RNNCell,
    SCRNCell,
    UnICORNNCell,
)

from .making import randomize

F64 = torch.float64


def jacobian(function: Any, *states: Tensor) -> Tensor:
    """The Jacobian of all new states by all old ones, as one matrix."""
    stacked = torch.cat(states)
    sizes = [len(state) for state in states]

    def flat(value: Tensor) -> Tensor:
        result = function(*value.split(sizes))
        return result if isinstance(result, Tensor) else torch.cat(result)

    found = torch.autograd.functional.jacobian(flat, stacked)
    assert isinstance(found, Tensor)
    return found


def test_a_fastrnn_starts_well_conditioned_and_its_bound_holds() -> None:
    """A step's singular values lie within alpha |U| of beta, and so do T of them."""
    cell = FastRNNCell(3, 16, dtype=F64)
    a, b = (torch.sigmoid(cell.get_parameter(name)).item() for name in ("alpha", "beta"))
    reach = a * torch.linalg.matrix_norm(cell.get_parameter("weight_hh"), 2).item()
    total, h = torch.eye(16, dtype=F64), torch.zeros(16, dtype=F64)
    steps = 20
    for x in torch.randn(steps, 3, dtype=F64):
        step = jacobian(lambda h, x=x: cell(x, h), h)
        values = torch.linalg.svdvals(step)
        assert values.min() >= b - reach - 1e-12
        assert values.max() <= b + reach + 1e-12
        total, h = step @ total, cell(x, h).detach()
    # With the first values exchanged the state would be forgotten by 0.05 at each step.
    assert torch.linalg.svdvals(total).min() > 0.9**steps * 0.9


def test_a_fastgrnn_costs_a_bias_and_two_numbers_more_than_an_rnn() -> None:
    def count(cell: torch.nn.Module) -> int:
        return sum(parameter.numel() for parameter in cell.parameters())

    options = {"recurrent_bias": False}
    assert count(FastGRNNCell(7, 9, **options)) == count(RNNCell(7, 9, **options)) + 9 + 2  # type: ignore[arg-type]


def test_a_fastgrnn_gate_goes_from_forgetting_to_keeping() -> None:
    cell = randomize(FastGRNNCell(3, 4, dtype=F64))
    x, h = torch.randn(3, dtype=F64), torch.randn(4, dtype=F64)
    zeta, nu = (torch.sigmoid(cell.get_parameter(name)) for name in ("zeta", "nu"))
    product = cell.get_parameter("weight_ih") @ x + cell.get_parameter("weight_hh") @ h
    bias = cell.block("bias_ih", "b_h") + cell.block("bias_hh", "b_h")
    candidate = torch.tanh(product + bias)
    for closed, expected in ((False, h + nu * candidate), (True, (zeta + nu) * candidate)):
        with torch.no_grad():
            cell.block("bias_ih", "b_z").fill_(-1000 if closed else 1000)
        torch.testing.assert_close(cell(x, h), expected)


@pytest.mark.parametrize("alpha", [0.0, 9.0])
def test_a_unicornn_step_conserves_volume_and_can_be_undone(alpha: float) -> None:
    cell = randomize(UnICORNNCell(3, 4, dt=0.5, alpha=alpha, dtype=F64))
    x = torch.randn(3, dtype=F64)
    y, z = torch.randn(2, 4, dtype=F64)
    volume = torch.linalg.det(jacobian(lambda y, z: cell(x, (y, z)), y, z))
    assert volume.item() == pytest.approx(1, abs=1e-12)  # a product of 8 pivots
    new_y, new_z = cell(x, (y, z))
    pace = 0.5 * torch.sigmoid(cell.get_parameter("weight_ch"))
    old_y = new_y - pace * new_z
    drive = cell.get_parameter("weight_ih") @ x + cell.get_parameter("bias_ih")
    force = torch.tanh(drive + cell.get_parameter("weight_hh") * old_y) + alpha * old_y
    torch.testing.assert_close((old_y, new_z + pace * force), (y, z))


def test_a_multiplicative_lstm_sees_its_state_through_the_input_alone() -> None:
    cell = randomize(MultiplicativeLSTMCell(3, 4, bias=False, dtype=F64))
    x, c = torch.randn(3, dtype=F64), torch.randn(4, dtype=F64)
    states = torch.randn(2, 4, dtype=F64)
    assert not torch.equal(cell(x, (states[0], c))[0], cell(x, (states[1], c))[0])
    assert torch.equal(cell(0 * x, (states[0], c))[0], cell(0 * x, (states[1], c))[0])


def test_what_an_mclstm_predicts_does_not_steer_it() -> None:
    cell = randomize(MCLSTMCell(3, 4, dtype=F64))
    inputs = torch.randn(5, 3, dtype=F64)

    def run() -> tuple[Tensor, Any]:
        state, outputs = cell.init_hidden(), []
        for x in inputs:
            output, state = cell(x, state)
            outputs.append(output)
        return torch.stack(outputs), state

    first, state = run()
    with torch.no_grad():
        for name in ("weight_ih", "weight_hh", "bias_ih"):
            cell.block(name, "o").normal_()
    second, same = run()
    assert not torch.allclose(first, second)
    assert torch.equal(torch.stack(state), torch.stack(same))


def test_an_scrn_context_decays_by_alpha_and_the_output_is_not_fed_back() -> None:
    cell = randomize(SCRNCell(3, 4, bias=False, alpha=0.9, dtype=F64))
    h, s = torch.randn(2, 4, dtype=F64)
    x = torch.zeros(3, dtype=F64)
    state: Any = (h, s)
    for _ in range(30):
        state = cell(x, state)[1]
    torch.testing.assert_close(state[1], 0.9**30 * s)
    with torch.no_grad():
        cell.block("weight_hh", "U").zero_()
        cell.block("weight_ch", "V").zero_()
    output, (new, _) = cell(x, (h, s))
    assert not output.any()
    assert not torch.equal(new, cell(x, (0 * h, s))[1][0])


def test_a_trained_alpha_of_an_old_scrn_becomes_the_constant() -> None:
    cell = SCRNCell(3, 4)
    saved = {**cell.state_dict(), "alpha": torch.tensor(0.5)}
    cell.load_state_dict(saved, strict=True)
    assert cell.alpha == 0.5
    assert "alpha" not in cell.state_dict()


@pytest.mark.parametrize("depth", [1, 5])
def test_a_closed_transform_gate_carries_a_state_through_all_layers(depth: int) -> None:
    cell = randomize(RHNCell(3, 4, depth=depth, dtype=F64))
    x, s = torch.randn(3, dtype=F64), torch.randn(4, dtype=F64)
    gates = [("bias_ih", "t"), *(("bias_dh", f"T{layer}") for layer in range(1, depth))]
    for value in (-1000, 1000):
        with torch.no_grad():
            for parameter, block in gates:
                cell.block(parameter, block).fill_(value)
        assert torch.equal(cell(x, s), s) is (value < 0)


def test_rhn_states_stay_in_the_unit_box_and_its_gates_start_nearly_closed() -> None:
    layer = randomize(RHN(3, 4, depth=4, dtype=F64))
    output, _ = layer(10 * torch.randn(50, 2, 3, dtype=F64))
    assert output.abs().max() <= 1
    cell = RHNCell(3, 4, depth=3, transform_bias=-4.0)
    biases = [("bias_ih", "t"), ("bias_dh", "T1"), ("bias_dh", "T2")]
    assert all((cell.block(*place) == -4).all() for place in biases)
    assert not cell.block("bias_ih", "h").any()


def reference(layer: LiGRU, input: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """The paper's equations with the statistics given, for one layer and direction."""
    cell = layer.cells[0]
    p = dict(cell.named_parameters())
    projected = (input @ p["weight_ih"].T - mean) / (variance + 1e-5).sqrt()
    projected = projected * p["norm.weight"] + p["norm.bias"]
    h, outputs = torch.zeros(input.size(1), 4, dtype=F64), []
    for step in projected:
        z, n = (step + h @ p["weight_hh"].T).chunk(2, -1)
        h = torch.sigmoid(z) * h + (1 - torch.sigmoid(z)) * torch.relu(n)
        outputs.append(h)
    return torch.stack(outputs)


def test_ligru_normalises_over_batch_and_time() -> None:
    layer = randomize(LiGRU(3, 4, batch_norm=True, dtype=F64))
    input = torch.randn(5, 6, 3, dtype=F64)
    projected = (input @ layer.cells[0].get_parameter("weight_ih").T).flatten(0, 1)
    mean, variance = projected.mean(0), projected.var(0, correction=0)
    torch.testing.assert_close(layer(input)[0], reference(layer, input, mean, variance))
    layer.eval()
    running = 0.05 * mean, 0.95 + 0.05 * projected.var(0)
    torch.testing.assert_close(layer(input)[0], reference(layer, input, *running))


def test_ligru_normalises_away_the_scale_of_its_input_but_not_without_the_norm() -> None:
    input = torch.randn(5, 6, 3, dtype=F64)
    for batch_norm in (True, False):
        layer = randomize(LiGRU(3, 4, batch_norm=batch_norm, dtype=F64))
        one, other = layer(input)[0], layer(1000 * input)[0]
        # the norm's epsilon, 1e-5, against variances of about 1
        assert torch.allclose(one, other, atol=1e-3) is batch_norm


def test_ligru_norm_never_sees_padding() -> None:
    layer = randomize(LiGRU(3, 4, 2, batch_norm=True, bidirectional=True, dtype=F64))
    input = torch.randn(5, 6, 3, dtype=F64)
    lengths = [5, 3, 1, 4, 2, 5]
    expected = layer(input, lengths=lengths)[0]
    for n, length in enumerate(lengths):
        input[length:, n] = 1e6
    assert torch.equal(layer(input, lengths=lengths)[0], expected)


def test_ligru_batch_norm_is_an_option_of_the_layer() -> None:
    layer = LiGRU(3, 4, batch_norm=True)
    assert repr(layer) == "LiGRU(3, 4, batch_norm=True)"
    assert not [name for name, _ in layer.named_parameters() if name.endswith(("_ih_b", "bias_ih"))]
    twin = LiGRU(3, 4, batch_norm=True)
    twin.load_state_dict(layer.state_dict(), strict=True)
    layer.reset_parameters()
    assert layer.cells[0](torch.randn(2, 3)).shape == (2, 4)
    layer.eval()
    assert layer.cells[0](torch.randn(3)).shape == (4,)
    with pytest.raises(TypeError, match="batch_norm should be of type bool, got: int"):
        LiGRU(3, 4, batch_norm=1)  # type: ignore[arg-type]
