"""Initialisers mean one gate's own matrix, by name or by function."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from torchrecurrent import (
    CTRNN,
    BRCell,
    CIFGLSTMCell,
    CTRNNCell,
    GRUResetBeforeCell,
    LSTMCell,
    MGUCell,
    RNNCell,
)
from torchrecurrent.activations import ACTIVATIONS, resolve_activation
from torchrecurrent.init import INITIALIZERS, chrono, reservoir, resolve_initializer, ring


@pytest.mark.parametrize("name", INITIALIZERS)
def test_every_name_fills_matrices_and_vectors(name: str) -> None:
    for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
        for shape in ((5, 4), (4, 5), (6,)):
            tensor = torch.full(shape, torch.nan, dtype=dtype)
            with torch.no_grad():
                resolve_initializer("kernel_init", name)(tensor)
            assert tensor.isfinite().all()
    assert resolve_initializer("k", name + "_") is resolve_initializer("k", name)


def test_xavier_has_the_bound_of_one_gate() -> None:
    cell = BRCell(64, 64)
    bound = math.sqrt(6 / 128)  # of the stack it would be sqrt(6 / 256)
    for gate in ("a", "c", "n"):
        largest = cell.block("weight_ih", gate).detach().abs().max().item()
        assert 0.95 * bound < largest <= bound


def test_orthogonal_makes_each_gate_orthogonal() -> None:
    cell = GRUResetBeforeCell(3, 8, dtype=torch.float64)
    for gate in ("r", "z", "U"):
        block = cell.block("weight_hh", gate)
        identity = torch.eye(8, dtype=torch.float64)
        torch.testing.assert_close(block @ block.T, identity, rtol=0, atol=1e-12)


def test_a_ring_is_filled_evenly() -> None:
    nu = ring(0.5, 0.9)(torch.empty(1000, dtype=torch.float64))
    square = torch.exp(-2 * torch.exp(nu)).sort().values
    even = torch.linspace(0.25, 0.81, 1000, dtype=torch.float64)
    # Kolmogorov-Smirnov: 1.95 / sqrt(n) is exceeded once in a thousand seeds
    assert (square - even).abs().max() / 0.56 < 1.95 / math.sqrt(1000)
    assert ring()(torch.empty(1000, dtype=torch.bfloat16)).isfinite().all()
    for radii in ((-0.1, 1.0), (0.5, 0.5), (0.5, 1.1)):
        with pytest.raises(ValueError, match="ring: expected 0 <= r_min < r_max <= 1, got"):
            ring(*radii)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"bias_ih": 1.5, "bias_hh": 0}),
        ({"recurrent_bias": False}, {"bias_ih": 1.5}),
        ({"bias": False, "recurrent_bias": True}, {"bias_hh": 1.5}),
        ({"bias": False}, {}),
    ],
    ids=str,
)
def test_a_first_bias_is_added_once(options: dict[str, Any], expected: dict[str, float]) -> None:
    cell = CIFGLSTMCell(3, 4, forget_bias=1.5, **options)
    found = {name: cell.block(name, "f") for name in cell.state_dict() if name.startswith("bias")}
    assert found.keys() == expected.keys()
    for name, value in found.items():
        assert bool((value == expected[name]).all())
        assert not cell.block(name, "o").any()


def test_a_reservoir_has_its_radius_and_density() -> None:
    weight = reservoir(0.8, 0.2)(torch.empty(150, 150, dtype=torch.float64))
    radius = float(torch.linalg.eigvals(weight).abs().max())
    assert math.isclose(radius, 0.8, rel_tol=1e-9)
    # a binomial's five standard deviations
    assert abs(float((weight != 0).double().mean()) - 0.2) < 5 * math.sqrt(0.16) / 150
    for size in range(1, 9):  # few of the draws of this size have a cycle
        assert reservoir(0.5, 0.1)(torch.empty(size, size)).any()
    with pytest.raises(ValueError, match=r"reservoir: expected a square block .* got \(4,\)"):
        CTRNNCell(3, 4, recurrence="diagonal", recurrent_kernel_init=reservoir())
    for given, error in ((-1.0, 0.1), "radius"), ((0.9, 0.0), "density"), ((0.9, 1.5), "density"):
        with pytest.raises(ValueError, match=f"reservoir: {error} should"):
            reservoir(*given)


def test_an_echo_state_network_forgets_where_it_began_and_trains_its_readout_alone() -> None:
    layer = CTRNN(2, 60, nonlinearity="tanh", recurrent_kernel_init=reservoir(0.9))
    layer.double().requires_grad_(False)
    readout = torch.nn.Linear(60, 1, dtype=torch.float64)
    input = torch.randn(400, 1, 2, dtype=torch.float64)
    one, other = (layer(input, torch.randn(1, 1, 60, dtype=torch.float64))[0] for _ in range(2))
    assert (one[-1] - other[-1]).abs().max() < 1e-3 * (one[0] - other[0]).abs().max()
    readout(one).sum().backward()
    assert readout.weight.grad is not None
    assert all(parameter.grad is None for parameter in layer.parameters())


def test_chrono_spreads_time_scales_evenly() -> None:
    torch.manual_seed(0)
    bias = chrono(50)(torch.empty(1000, dtype=torch.float64))
    ranks = torch.linspace(1, 49, 1000, dtype=torch.float64)
    # Kolmogorov-Smirnov: 1.95 / sqrt(n) is exceeded once in a thousand seeds
    assert (bias.exp().sort().values - ranks).abs().max() / 48 < 1.95 / math.sqrt(1000)
    assert not chrono(2)(torch.empty(3)).any()
    with pytest.raises(ValueError, match="steps should be at least 2, got 1"):
        chrono(1)


def test_a_vector_takes_each_unit_as_a_matrix_of_its_own() -> None:
    torch.manual_seed(0)
    weights = LSTMCell(
        3, 500, recurrence="diagonal", recurrent_kernel_init="xavier_uniform"
    ).get_parameter("weight_hh")
    largest = weights.detach().abs().max().item()
    assert 0.99 * math.sqrt(3) < largest <= math.sqrt(3)


def test_a_function_is_kept_for_reset() -> None:
    def sevens(tensor: Tensor) -> Tensor:
        return tensor.fill_(7.0)

    cell = MGUCell(3, 4, kernel_init=sevens, bias_init=nn.init.ones_)
    assert cell.kernel_init is sevens
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.zero_()
    cell.reset_parameters()
    assert (cell.get_parameter("weight_ih") == 7).all()
    assert (cell.get_parameter("bias_ih") == 1).all()
    assert repr(cell) == "MGUCell(3, 4, kernel_init=sevens, bias_init=ones_)"


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_is_elementwise(name: str) -> None:
    x = torch.linspace(-3, 3, 7)
    function = resolve_activation("nonlinearity", name)
    torch.testing.assert_close(function(x), torch.stack([function(value) for value in x]))
    assert RNNCell(3, 4, nonlinearity=name)(torch.ones(3)).isfinite().all()


def test_an_activation_may_be_a_function() -> None:
    cell = RNNCell(3, 4, nonlinearity=torch.sin)
    by_hand = RNNCell(3, 4, nonlinearity="identity")
    by_hand.load_state_dict(cell.state_dict())
    x = torch.randn(3)
    torch.testing.assert_close(cell(x), torch.sin(by_hand(x)))
