"""Scientific claims of the papers of RG-LRU, LinOSS, momentum, Mogrifier, CfC and layer norm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from torchrecurrent import (
    RGLRU,
    BaseRecurrentCell,
    CfCCell,
    CTRNNCell,
    LayerNormGRUCell,
    LayerNormLSTMCell,
    LayerNormRNNCell,
    LinOSS,
    LinOSSCell,
    LSTMCell,
    MogrifierLSTMCell,
    MomentumLSTMCell,
    MomentumRNNCell,
    NestedLSTM,
    RGLRUCell,
    RNNCell,
)

from .making import assert_same, randomize

F64 = torch.float64


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=F64)


def constant_gates(decay: float, recurrence: float) -> RGLRU:
    """Set up an RG-LRU: W is zero, the input gate is open, the other has a bias."""
    layer = RGLRU(4, 4, dtype=F64)
    cell: Any = layer.cells[0]
    with torch.no_grad():
        cell.get_parameter("weight_ih").zero_()
        cell.block("bias_ih", "i").fill_(40)
        cell.block("bias_ih", "r").fill_(recurrence)
        cell.get_parameter("weight_decay").fill_(decay)
    return layer


@pytest.mark.parametrize("recurrence", [-2.0, 0.0, 3.0])
def test_rg_lru_keeps_the_variance_of_its_input(recurrence: float) -> None:
    """The squares of an impulse's response sum up to 1 - a^(2T)."""
    layer = constant_gates(-4, recurrence)
    impulse = torch.zeros(60, 1, 4, dtype=F64)
    impulse[0] = 1
    with torch.no_grad():
        output, _ = layer(impulse)
    a = (output[1] / output[0]).squeeze()
    assert (a < 1).all()
    assert_same((output**2).sum(0).squeeze(), 1 - a**120)


def test_rg_lru_with_a_closed_gate_keeps_its_state_and_takes_in_nothing() -> None:
    layer = constant_gates(-4, -40)
    first = normal(1, 1, 4)
    with torch.no_grad():
        _, last = layer(normal(50, 1, 4), first)
    # What the floor under the root lets in: 50 steps of 5e-4 times an input that is below 5.
    assert_same(last, first, 50 * 5e-4 * 5)


def test_rg_lru_starts_on_the_ring() -> None:
    cell = RGLRUCell(1, 100_000, dtype=F64)
    decay = cell.get_parameter("weight_decay").detach()
    square = torch.exp(-2 * torch.nn.functional.softplus(decay))
    assert float(square.min()) >= 0.9**2 - 1e-12
    assert float(square.max()) <= 0.999**2 + 1e-12
    # uniform: the mean is off by five standard errors once in a million
    width = 0.999**2 - 0.9**2
    assert abs(float(square.mean()) - (0.999**2 + 0.9**2) / 2) < 5 * width / (12 * 1e5) ** 0.5


def transition(cell: LinOSSCell) -> Tensor:
    """For each unit what a step without input does to y and z, a 2 x 2 matrix."""
    ones, zeros = torch.ones(1, 5, dtype=F64), torch.zeros(1, 5, dtype=F64)
    columns = []
    for y, z in ((ones, zeros), (zeros, ones)):
        _, (y_re, _, z_re, _) = cell(torch.zeros(1, 3, dtype=F64), (y, zeros, z, zeros))
        columns.append(torch.cat([y_re, z_re]))
    return torch.stack(columns, 1).permute(2, 0, 1)


def test_linoss_imex_conserves_a_volume_and_im_forgets() -> None:
    for scheme in ("IM", "IMEX"):
        cell = LinOSSCell(3, 5, bias=False, discretization=scheme, dtype=F64)
        with torch.no_grad():
            matrix = transition(cell)
        A = cell.get_parameter("weight_a").relu()
        dt = cell.get_parameter("weight_dt").sigmoid()
        kept = 1 / (1 + dt**2 * A) if scheme == "IM" else torch.ones(5, dtype=F64)
        assert_same(torch.linalg.det(matrix), kept)
        # a pair of conjugate eigenvalues of this modulus, since 0 < dt^2 A < 4
        assert_same(torch.linalg.eigvals(matrix).abs(), kept.sqrt().unsqueeze(1).expand(5, 2))


def test_linoss_is_stable_whatever_it_learns() -> None:
    """With weights of any size no eigenvalue of IM is outside the unit circle."""
    cell = LinOSSCell(3, 5, bias=False, dtype=F64)
    for size in (0.1, 1.0, 10.0, 100.0):
        with torch.no_grad():
            cell.get_parameter("weight_a").normal_(0, size)
            cell.get_parameter("weight_dt").normal_(0, size)
            # where A is 0 a matrix is a shear, whose eigenvalues are found to half the digits
            assert float(torch.linalg.eigvals(transition(cell)).abs().max()) < 1 + 1e-7


def test_linoss_is_linear_in_its_input() -> None:
    layer = LinOSS(3, 5, bias=False, dtype=F64)
    one, other = normal(20, 2, 3), normal(20, 2, 3)
    with torch.no_grad():
        both, _ = layer(2 * one - 3 * other)
        assert_same(both, 2 * layer(one)[0] - 3 * layer(other)[0])


def test_ctrnn_without_input_decays_with_its_time_constant() -> None:
    cell = CTRNNCell(2, 3, bias=False, dt=5, tau=50, nonlinearity="tanh", dtype=F64)
    torch.nn.init.zeros_(cell.get_parameter("weight_hh"))
    h = first = normal(1, 3)
    for _ in range(10):
        h = cell(torch.zeros(1, 2, dtype=F64), h)
    assert_same(h, 0.9**10 * first)


def twins(
    cell_class: type[BaseRecurrentCell], plain_class: type[BaseRecurrentCell], **options: Any
) -> tuple[Any, Any, list[str]]:
    """A cell, a plainer one with the same weights, and which of its parameters that lacks."""
    cell = randomize(cell_class(3, 4, dtype=F64, **options))
    plain = plain_class(3, 4, dtype=F64)
    result = plain.load_state_dict(cell.state_dict(), strict=False)
    assert not result.missing_keys
    return cell, plain, result.unexpected_keys


def test_ctrnn_with_a_time_step_of_its_time_constant_is_a_simple_network() -> None:
    cell, plain, more = twins(CTRNNCell, RNNCell, dt=7.0, tau=7.0, nonlinearity="tanh")
    x, h = normal(2, 3), normal(2, 4)
    assert not more
    assert_same(cell(x, h), plain(x, h))


@pytest.mark.parametrize(
    ("cell_class", "plain_class"), [(MomentumRNNCell, RNNCell), (MomentumLSTMCell, LSTMCell)]
)
def test_without_momentum_it_is_the_plain_network(
    cell_class: type[BaseRecurrentCell], plain_class: type[BaseRecurrentCell]
) -> None:
    cell, plain, more = twins(cell_class, plain_class, mu=0.0, epsilon=1.0)
    assert not more
    states = tuple(normal(2, 4) for _ in cell.state_names)
    hx = states[: len(plain.state_names)]
    x = normal(2, 3)
    found = cell(x, states)
    assert_same(found[: len(hx)], plain(x, hx if len(hx) > 1 else hx[0]))


def test_momentum_is_a_moving_sum_of_the_input() -> None:
    cell = randomize(MomentumRNNCell(3, 4, mu=0.7, epsilon=0.3, dtype=F64))
    inputs = normal(6, 3)
    hx = cell.init_hidden(1)
    for x in inputs:
        hx = cell(x.unsqueeze(0), hx)
    projected = inputs @ cell.get_parameter("weight_ih").T + cell.get_parameter("bias_ih")
    factors = 0.3 * 0.7 ** torch.arange(5, -1, -1, dtype=F64)
    assert_same(hx[1], (factors.unsqueeze(1) * projected).sum(0, keepdim=True))


@pytest.mark.parametrize("rounds", [1, 2, 5])
def test_a_mogrifier_that_gates_nothing_is_an_lstm(rounds: int) -> None:
    """Gates are 2 sigma(0) = 1 where their maps are zero."""
    cell, plain, more = twins(MogrifierLSTMCell, LSTMCell, rounds=rounds)
    for name in more:
        torch.nn.init.zeros_(cell.get_parameter(name))
    x, h, c = normal(2, 3), normal(2, 4), normal(2, 4)
    assert_same(cell(x, (h, c)), plain(x, (h, c)))


def test_a_nested_memory_is_bounded_and_its_inner_one_counts() -> None:
    layer = NestedLSTM(1, 3, dtype=F64)
    cell: Any = layer.cells[0]
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.zero_()
        cell.block("bias_ih", "i").fill_(40)
        cell.block("bias_ih", "g").fill_(40)
        for name in ("A_i", "A_f", "A_g"):  # the inner gates are open
            cell.block("bias_inner_ih", name).fill_(40)
        _, (_, c, n) = layer(torch.zeros(25, 1, 1, dtype=F64))
    assert_same(n, torch.full((1, 1, 3), 25.0, dtype=F64))
    assert float(c.abs().max()) <= 1


def test_cfc_goes_from_one_answer_to_the_other_as_time_passes() -> None:
    """f at once, g after a long time, and never beyond either."""
    x, h = normal(8, 3), normal(8, 4)
    found = {}
    for dt in (0.0, 1.0, 1e3):
        torch.manual_seed(3)
        cell = randomize(CfCCell(3, 4, dt=dt, dtype=F64))
        with torch.no_grad():
            for name, bias in (("A", 1.0), ("B", -40.0)):
                cell.block("weight_head", name).zero_()
                cell.block("bias_head", name).fill_(bias)
        found[dt] = cell(x, h)
    W, U, b, d = (
        cell.get_parameter(name) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    z = 1.7159 * torch.tanh(0.666 * (x @ W.T + b + h @ U.T + d))
    answers = [
        torch.tanh(z @ cell.block("weight_head", name).T + cell.block("bias_head", name))
        for name in "FG"
    ]
    assert_same(found[0.0], answers[0])
    assert_same(found[1e3], answers[1])
    cell = randomize(CfCCell(3, 4, dtype=F64))
    assert bool((cell(10 * x, 10 * h).abs() <= 1).all())


@pytest.mark.parametrize("cell_class", [LayerNormRNNCell, LayerNormGRUCell, LayerNormLSTMCell])
def test_layer_normalisation_does_not_see_the_scale_or_the_mean_of_a_kernel(
    cell_class: Callable[..., Any],
) -> None:
    """As in the paper's table 1: invariant to both for the whole kernel, not for one unit's."""
    cell = randomize(cell_class(3, 4, layer_norm_eps=0.0, dtype=F64))
    x, states = normal(5, 3), tuple(normal(5, 4) for _ in cell.state_names)
    hx = states if len(states) > 1 else states[0]
    before = cell(x, hx)
    names = ["weight_ih", "weight_hh"]
    with torch.no_grad():
        for name in names:
            cell.get_parameter(name).mul_(7.0)  # of both: the simple network adds them first
            cell.get_parameter(name).add_(normal(1, cell.get_parameter(name).size(1)))
    # a thousand roundings at size ten
    assert_same(cell(x, hx), before, 1e-11)
    with torch.no_grad():
        cell.get_parameter("weight_ih")[0].mul_(7.0)
    first, *_ = cell(x, hx) if len(states) > 1 else (cell(x, hx),)
    assert not torch.allclose(first, before[0] if len(states) > 1 else before, atol=1e-3)


def test_layer_normalisation_has_the_mean_0_and_the_variance_1() -> None:
    cell: Any = LayerNormRNNCell(3, 50, layer_norm_eps=0.0, nonlinearity="identity", dtype=F64)
    h = cell(100 + 30 * normal(8, 3), normal(8, 50))
    assert_same(h.mean(-1), torch.zeros(8, dtype=F64))
    assert_same(h.var(-1, correction=0), torch.ones(8, dtype=F64))


@pytest.mark.parametrize(("layers", "what"), [(0, "greater than zero"), (-1, "not be negative")])
def test_a_cfc_has_a_backbone(layers: int, what: str) -> None:
    with pytest.raises(ValueError, match=f"backbone_layers must (be )?{what}, got {layers}"):
        CfCCell(3, 4, backbone_layers=layers)


def test_the_input_of_rg_lru_is_exact_where_hardly_anything_is_forgotten() -> None:
    """In float32 1 - a^2 itself would be off by 1e-4 here, where it is 9e-5."""
    outputs = []
    for dtype in (torch.float64, torch.float32):
        layer = constant_gates(-11, -0.7).to(dtype)
        outputs.append(layer(torch.ones(1, 1, 4, dtype=dtype))[0].detach().double())
    exact, single = outputs
    # Each of some ten operations rounds by half of 1.2e-7.
    assert float((single / exact - 1).abs().max()) < 6e-7
