"""Initialisers mean one gate's own matrix, by name or by function."""

from __future__ import annotations

import math
import pickle
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from torchrecurrent import (
    CTRNN,
    BRCell,
    CTRNNCell,
    GRUResetBeforeCell,
    LSTMCell,
    MGUCell,
    RNNCell,
    init,
)
from torchrecurrent.activations import ACTIVATIONS, resolve_activation
from torchrecurrent.constraints import orthogonal
from torchrecurrent.init import (
    INITIALIZERS,
    chrono,
    henaff_,
    inverse_normal_,
    normal,
    paces,
    phase,
    power_law,
    reservoir,
    resolve_initializer,
    ring,
    softplus_ring,
    softplus_uniform,
    uniform,
    uniform_gates_,
    variance_scaling,
    xavier_vector_,
)


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


def test_initialisers_with_numbers_are_values() -> None:
    texts = (
        "chrono(50)",
        "chrono(50, 'input')",
        "gain(0.5)",
        "normal(0.1)",
        "phase(3)",
        "power_law(1, 2, 0.5, 2)",
        "paces(0.01, 0.5)",
        "reservoir(0.5, 0.1)",
        "ring(0.5, 1)",
        "softplus_ring(0.5, 0.75)",
        "softplus_uniform(0.5, 2)",
        "uniform(-1, 2)",
        "variance_scaling(0.5, 'uniform')",
        "variance_scaling(0.5, 'normal', 'fan_out')",
    )
    for text in texts:
        one = eval(text, vars(init))
        assert eval(text, vars(init)) == one == pickle.loads(pickle.dumps(one))
        assert hash(eval(text, vars(init))) == hash(one)
        assert repr(one) == text
        assert repr(RNNCell(4, 4, kernel_init=one)) == f"RNNCell(4, 4, kernel_init={text})"
    assert chrono(50) != chrono(51)
    assert uniform(0, 1) != ring(0, 1)


def draw(initializer: Any, *shape: int) -> Tensor:
    torch.manual_seed(0)
    tensor = torch.full(shape, torch.nan, dtype=torch.float64)
    return cast("Tensor", initializer(tensor))


@pytest.mark.parametrize(
    ("initializer", "shape", "variance"),
    [
        (uniform(-0.07, 0.07), (2000, 5), 0.07**2 / 3),
        (normal(0.1), (2000, 5), 0.01),
        (variance_scaling(0.5), (2000, 5), 0.1),
        (variance_scaling(0.5, "uniform"), (2000, 5), 0.1),
        (variance_scaling(0.5, "uniform"), (10000,), 0.5),
        (variance_scaling(0.5, mode="fan_out"), (2000, 5), 0.00025),
        (variance_scaling(0.5, "uniform", "fan_out"), (10000,), 5e-5),
        (INITIALIZERS["lecun_normal"], (2000, 5), 0.2),
        (INITIALIZERS["lecun_uniform"], (10000,), 1.0),
        (inverse_normal_, (2000, 5), 0.04),
        (inverse_normal_, (10000,), 1.0),
        (xavier_vector_, (10000,), 1e-4),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_a_variance(initializer: Any, shape: tuple[int, ...], variance: float) -> None:
    values = draw(initializer, *shape)
    # Of 10000 normal draws the variance has a relative standard error of sqrt(2 / 10000); uniform
    # ones have less. Five of them, and likewise of the mean's.
    assert float(values.var()) == pytest.approx(variance, rel=5 * math.sqrt(2e-4))
    assert abs(float(values.mean())) < 5 * math.sqrt(variance / 10000)


def test_a_uniform_gate_is_spread_and_its_refine_gate_opposite() -> None:
    forget, refine = torch.empty(2, 1000, dtype=torch.float64)
    uniform_gates_(forget, refine)
    assert torch.equal(refine, -forget)
    even = torch.linspace(0, 1, 1000, dtype=torch.float64)
    # Kolmogorov-Smirnov: 1.95 / sqrt(n) is exceeded once in a thousand seeds
    spread = torch.sigmoid(forget).sort().values
    assert (spread - even).abs().max() < 1.95 / math.sqrt(1000)
    assert not uniform_gates_(torch.empty(1)).any()


def test_a_power_law_begins_anew_in_each_block() -> None:
    values = draw(power_law(5.0, -7.0, 0.5, 2), 10)
    expected = [5 - 12 * (k / 4) ** 0.5 for k in range(5)] * 2
    torch.testing.assert_close(
        values, torch.tensor(expected, dtype=torch.float64), rtol=1e-6, atol=1e-6
    )
    assert draw(power_law(5.0, -7.0), 1).tolist() == [5.0]


def test_phases_and_the_decay_of_a_softplus() -> None:
    n = 1000
    even = torch.linspace(0, 1, n, dtype=torch.float64)
    phases = draw(phase(3.0), n).exp() / 3
    kept = torch.exp(-torch.nn.functional.softplus(draw(softplus_ring(0.9, 0.999), n))) ** 2
    positive = torch.nn.functional.softplus(draw(softplus_uniform(0.5, 2.5), n))
    times = torch.nn.functional.softplus(draw(paces(0.01, 0.5), n)).log()
    paced = (times - math.log(0.01)) / math.log(50)
    for values in (phases, paced, (kept - 0.9**2) / (0.999**2 - 0.9**2), (positive - 0.5) / 2):
        # Kolmogorov-Smirnov, as above
        assert (values.sort().values - even).abs().max() < 1.95 / math.sqrt(n)


@torch.no_grad()
@pytest.mark.parametrize("heads", [1, 3])
def test_henaff_rotates_pairs_of_units_by_angles_spread_evenly(heads: int) -> None:
    kernel = henaff_(torch.empty(600, 600 // heads, dtype=torch.float64))
    for block, rotation in zip(kernel.chunk(heads), orthogonal(kernel).chunk(heads), strict=True):
        angles = block.diagonal(1)[::2]
        assert torch.count_nonzero(block) == len(angles) == 300 // heads
        # the mean square of U(-pi, pi), to 5 of its standard errors, pi^2 sqrt(4 / 45 n)
        error = 5 * math.pi**2 * math.sqrt(4 / 45 / len(angles))
        assert abs(float((angles**2).mean()) - math.pi**2 / 3) < error
        pairs = torch.block_diag(
            *(torch.tensor([[a.cos(), a.sin()], [-a.sin(), a.cos()]]) for a in angles)
        )
        torch.testing.assert_close(rotation, pairs.to(rotation), rtol=0, atol=1e-6)  # of float32


def test_numbers_that_an_initialiser_refuses() -> None:
    with pytest.raises(ValueError, match="variance_scaling: scale should be positive, got 0"):
        variance_scaling(0)
    with pytest.raises(ValueError, match=r"distribution should be one of .* got 'flat'"):
        variance_scaling(1.0, "flat")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"variance_scaling: mode should be one of .* 'fan_avg'"):
        variance_scaling(1.0, mode="fan_avg")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"chrono: gate should be one of .* got 'output'"):
        chrono(10, "output")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="softplus_ring: expected 0 <= r_min < r_max <= 1"):
        softplus_ring(0.9, 0.8)
    with pytest.raises(ValueError, match="paces: expected 0 < shortest < longest, got 0 and 1"):
        paces(0, 1)
    with pytest.raises(ValueError, match="softplus_uniform: expected 0 <= low < high, got 1 and 1"):
        softplus_uniform(1, 1)


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
