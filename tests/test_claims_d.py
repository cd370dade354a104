"""Scientific claims of the papers of antisymmetric, additive and one-gate networks."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from torchrecurrent import (
    CFN,
    JANET,
    RAN,
    SGRN,
    AntisymmetricRNN,
    AntisymmetricRNNCell,
    ATRCell,
    CFNCell,
    DSGUCell,
    GatedAntisymmetricRNNCell,
    GRUCell,
    JANETCell,
    LightRUCell,
    LSTMCell,
    MinimalRNNCell,
    MiRU1Cell,
    MiRU2Cell,
    RANCell,
    SGRNCell,
    SGUCell,
)
from torchrecurrent.init import chrono

from .making import randomize


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def zeroed(cell: Any) -> Any:
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.zero_()
    return cell


@pytest.mark.parametrize("cell_class", [AntisymmetricRNNCell, GatedAntisymmetricRNNCell])
@pytest.mark.parametrize("options", [{}, {"num_heads": 3}, {"recurrence": "diagonal"}], ids=str)
def test_the_recurrent_kernel_is_antisymmetric_but_for_the_diffusion(
    cell_class: type[Any], options: dict[str, Any]
) -> None:
    """U + U' = -2 gamma I, so that its eigenvalues have a real part of -gamma."""
    cell = randomize(cell_class(3, 6, gamma=0.25, dtype=torch.float64, **options))
    kernel = cell.recurrent_kernel().detach()
    if kernel.dim() == 1:
        blocks = kernel.view(6, 1, 1)
    else:
        blocks = kernel.view(-1, kernel.size(1), kernel.size(1))
    symmetric = -0.5 * torch.eye(blocks.size(1), dtype=torch.float64)
    torch.testing.assert_close(blocks + blocks.mT, symmetric.expand_as(blocks))
    real = torch.linalg.eigvals(blocks).real
    torch.testing.assert_close(real, torch.full_like(real, -0.25))


def test_an_antisymmetric_network_neither_explodes_nor_forgets_over_1000_steps() -> None:
    """The norm of h + epsilon A h never shrinks, and grows by at most sqrt(1 + epsilon^2 |A|^2).

    An unconstrained kernel with an eigenvalue of 1 would grow by e^10.
    """
    epsilon, steps = 0.01, 1000
    layer = AntisymmetricRNN(
        1, 16, epsilon=epsilon, gamma=0.0, nonlinearity="identity", dtype=torch.float64
    )
    h = normal(1, 1, 16).requires_grad_()
    output, _ = layer(torch.zeros(steps, 1, 1, dtype=torch.float64), h)
    seed = normal(16)
    output[-1].backward(seed.unsqueeze(0))
    assert h.grad is not None
    cell: Any = layer.cells[0]
    size = torch.linalg.matrix_norm(cell.recurrent_kernel(), 2).item()
    bound = (1 + epsilon**2 * size**2) ** (steps / 2)
    assert bound < 2
    # a thousand roundings of float64
    assert 1 - 1e-12 < (h.grad.norm() / seed.norm()).item() < bound + 1e-12


def test_the_gate_of_an_antisymmetric_cell_sees_the_recurrent_bias_and_can_stop_time() -> None:
    cell = randomize(GatedAntisymmetricRNNCell(3, 4, dtype=torch.float64))
    with torch.no_grad():
        cell.get_parameter("bias_hh").fill_(-1000)
    h = normal(4)
    assert torch.equal(cell(normal(3), h), h)


def test_an_atr_state_is_a_sum_of_inputs_weighted_between_zero_and_one() -> None:
    """If all projected inputs are positive, so is the state, and it is below their sum."""
    cell = randomize(ATRCell(3, 4, dtype=torch.float64))
    with torch.no_grad():
        cell.get_parameter("weight_ih").abs_()
        cell.get_parameter("bias_ih").abs_()
    h, total = torch.zeros(4, dtype=torch.float64), torch.zeros(4, dtype=torch.float64)
    for x in torch.rand(50, 3, dtype=torch.float64):
        total = total + cell.get_parameter("weight_ih") @ x + cell.get_parameter("bias_ih")
        h = cell(x, h)
        assert (h > 0).all()
        assert (h < total).all()


def test_a_chaos_free_network_dies_out_without_input() -> None:
    """At least as fast as repeated tanh, however wild its recurrent kernels are."""
    layer = CFN(3, 16, dtype=torch.float64)
    with torch.no_grad():
        layer.cells[0].get_parameter("weight_hh").normal_(0, 10)
    h = 5 * normal(1, 1, 16)
    output, _ = layer(torch.zeros(300, 1, 3, dtype=torch.float64), h)
    bound = h.abs().flatten()
    for state in output[:, 0]:
        bound = bound.tanh()
        # an open gate equals the bound: two tanh, each rounded, 300 times over
        assert (state.abs() <= bound * (1 + 1e-12)).all()
    assert bound.max() < 0.1


def test_a_chaos_free_network_starts_with_its_gates_apart() -> None:
    cell = CFNCell(3, 4)
    assert (cell.block("bias_ih", "theta") == 1).all()
    assert (cell.block("bias_ih", "eta") == -1).all()
    assert not cell.block("bias_ih", "n").any()


def test_janet_has_half_of_an_lstm() -> None:
    assert 2 * parameters(JANETCell(7, 9)) == parameters(LSTMCell(7, 9))


def test_janet_started_by_chrono_forgets_over_as_many_steps_as_asked() -> None:
    """Without input a unit keeps u / (1 + u) of its state a step, with u from 1 to T - 1."""
    layer = JANET(
        3, 500, forget_init=chrono(100), recurrent_kernel_init="zeros", dtype=torch.float64
    )
    h = torch.ones(1, 1, 500, dtype=torch.float64)
    output, _ = layer(torch.zeros(1, 1, 3, dtype=torch.float64), h)
    scale = 1 / (1 - output.flatten())
    assert scale.min() >= 2 - 1e-9
    assert scale.max() <= 100 + 1e-9
    # the mean of 500 uniform numbers is off by 5 standard errors once in a million seeds
    assert (scale.mean() - 51).abs() < 5 * 98 / math.sqrt(12 * 500)


def test_janet_takes_in_more_than_it_forgets() -> None:
    """With beta its state is no average: a lasting candidate of 1/2 adds up to more."""
    ends = []
    for beta in (0.0, 1.0):
        cell = zeroed(JANETCell(3, 4, beta=beta, dtype=torch.float64))
        with torch.no_grad():
            cell.block("bias_ih", "n").fill_(math.atanh(0.5))
        h = torch.zeros(4, dtype=torch.float64)
        for _ in range(100):
            h = cell(torch.zeros(3, dtype=torch.float64), h)
        ends.append(h[0].item())
    assert ends[0] == pytest.approx(0.5)
    assert ends[1] == pytest.approx(0.5 * (1 / (1 + math.exp(-1))) / 0.5)


def test_a_light_recurrent_unit_averages_its_candidates() -> None:
    cell = randomize(LightRUCell(3, 4, dtype=torch.float64))
    low = high = h = torch.zeros(4, dtype=torch.float64)
    for x in 3 * normal(50, 3):
        candidate = torch.tanh(cell.block("weight_ih", "n") @ x + cell.block("bias_ih", "n"))
        low, high = torch.minimum(low, candidate), torch.maximum(high, candidate)
        h = cell(x, h)
        assert (low <= h).all()
        assert (h <= high).all()
    with torch.no_grad():
        cell.block("bias_ih", "f").fill_(-1000)
    assert torch.equal(cell(normal(3), h), h)


def test_a_minimal_rnn_settles_on_the_code_of_a_lasting_input() -> None:
    cell = randomize(MinimalRNNCell(3, 4, dtype=torch.float64))
    x, h = normal(3), normal(4)
    code = torch.tanh(cell.get_parameter("weight_ih") @ x + cell.get_parameter("bias_ih"))
    distance = (h - code).abs()
    for _ in range(500):
        h = cell(x, h)
        assert ((h - code).abs() <= distance + 1e-15).all()  # roundings, once it is there
        distance = (h - code).abs()
    assert distance.max() < 1e-9


def test_minion_units_have_two_thirds_and_one_third_of_a_gru() -> None:
    assert 3 * parameters(MiRU1Cell(7, 9)) == 2 * parameters(GRUCell(7, 9))
    assert 3 * parameters(MiRU2Cell(7, 9)) == parameters(GRUCell(7, 9))


def test_a_minion_unit_that_resets_forgets_at_its_update_coefficient() -> None:
    cell = randomize(
        MiRU2Cell(3, 4, update_coefficient=0.9, reset_coefficient=0.0, dtype=torch.float64)
    )
    one, other = normal(2, 4)
    first = one - other
    for x in normal(20, 3):
        one, other = cell(x, one), cell(x, other)
    torch.testing.assert_close(one - other, 0.9**20 * first)


def test_a_recurrent_additive_network_is_linear_in_its_content() -> None:
    """With gates that do not see the inputs, the cell states of two inputs add up."""
    layer = randomize(RAN(3, 4, dtype=torch.float64))
    cell: Any = layer.cells[0]
    assert isinstance(cell, RANCell)
    with torch.no_grad():
        cell.block("weight_ih", "i").zero_()
        cell.block("weight_ih", "f").zero_()
        cell.get_parameter("weight_hh").zero_()
    one, other = normal(2, 20, 1, 3)
    states = [layer(input)[1][1] for input in (one, other, one + other)]
    torch.testing.assert_close(states[0] + states[1], states[2])


def test_an_sgrn_has_a_third_of_a_gru_and_moves_between_state_and_input() -> None:
    assert 3 * parameters(SGRN(7, 9)) == parameters(GRUCell(7, 9))
    cell = randomize(SGRNCell(3, 4, dtype=torch.float64))
    h = torch.zeros(4, dtype=torch.float64)
    for x in normal(50, 3):
        p = cell.get_parameter("weight_ih") @ x + cell.get_parameter("bias_ih")
        before, h = h, cell(x, h)
        mixed = torch.atanh(h)
        # atanh of a rounded tanh: inputs here stay below 5, where it loses 4 digits
        assert (torch.minimum(p, before) - 1e-11 <= mixed).all()
        assert (mixed <= torch.maximum(p, before) + 1e-11).all()


@pytest.mark.parametrize("cell_class", [SGUCell, DSGUCell])
def test_a_simple_gated_unit_shuts_at_minus_two_and_a_half(cell_class: type[Any]) -> None:
    """The hard sigmoid of slope 1/5 is then zero, so the state is kept to the last bit."""
    h = normal(4)
    for bias, kept in ((-2.6, True), (-2.4, False)):
        cell = zeroed(cell_class(3, 4, dtype=torch.float64))
        with torch.no_grad():
            cell.block("bias_ih", "z").fill_(bias)
        assert torch.equal(cell(normal(3), h), h) is kept


def test_a_deep_simple_gated_unit_stays_in_the_unit_box_and_a_shallow_one_does_not() -> None:
    largest = {}
    for cell_class in (SGUCell, DSGUCell):
        cell: Any = randomize(cell_class(3, 4, dtype=torch.float64))
        h = torch.ones(4, dtype=torch.float64)
        seen = []
        for x in 5 * normal(300, 3):
            h = cell(x, h)
            assert (h >= 0).all()
            seen.append(h.max().item())
        largest[cell_class] = max(seen)
    assert largest[DSGUCell] <= 1
    assert largest[SGUCell] > 1
