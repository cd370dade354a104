"""Operations across units: each has the same results in kernels, and softmax is torch's."""

from __future__ import annotations

import importlib.util
import math
from typing import Annotated, Any

import pytest
import torch
from torch import Tensor, tanh

from torchrecurrent import BaseRecurrentCell, Recurrent, backend
from torchrecurrent.across import ACROSS, softmax
from torchrecurrent.declaration.step_contract import StepError
from torchrecurrent.engine import Backend
from torchrecurrent.init import Initializer
from torchrecurrent.roles import (
    CELL,
    AcrossRole,
    Function,
    Gate,
    Map,
    MapRole,
    Projected,
    Softmax,
    State,
    Total,
)

from .making import assert_same, gradients, randomize

# NumPy, in which Triton interprets, says what IEEE's rules do silently.
pytestmark = pytest.mark.filterwarnings("ignore:.*encountered in.*:RuntimeWarning")

PATHS: list[Backend] = ["c", "triton"] if importlib.util.find_spec("triton") else ["c"]
#: How many units the result has, besides as many as the value: of 5 and of 40.
WIDTHS = {
    "rest": (2, 38),
    "repeated": (15, 80),
    "tiled": (15, 80),
    "folded": (1, 8),
    "grouped": (1, 8),
    "cumulative": (5, 40),
}


def joining(operation: str) -> type[BaseRecurrentCell]:
    """A cell whose candidate sees an operation across the units of its state."""
    joined = Annotated[Function, AcrossRole(operation, "joined_size")]
    onward = Annotated[Function, MapRole(CELL, columns="joined_size", always_dense=True)]

    class JoinedCell(BaseRecurrentCell):
        joined_size: int
        cell_kernel_init: Initializer = "normal"
        cell_bias_init: Initializer = "zeros"
        cell_bias: bool | None = None

        @staticmethod
        def step(h: State, n: Gate, A: joined, D: onward) -> Tensor:
            return tanh(n + D(A(h * n)))

    return JoinedCell


class SharesCell(BaseRecurrentCell):
    @staticmethod
    def step(h: State, n: Projected, U: Map, softmax: Softmax, total: Total) -> Tensor:
        return softmax(n + U(h)) + 0.1 * h / (1 + total(abs(h)))


def results(layer: Recurrent, input: Tensor, choice: Backend) -> list[Tensor]:
    input = input.clone().requires_grad_()
    with backend(choice):
        output, state = layer(input, lengths=[5, 3, 5])
        found = [output, *gradients(layer, output, state).values()]
    assert input.grad is not None
    return [*found, input.grad]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("hidden", [5, 40])  # parts of sixteen, and what is left
@pytest.mark.parametrize("operation", ACROSS)
def test_a_kernel_is_the_loop(operation: str, hidden: int, path: Backend) -> None:
    kind = joining(operation)
    others = WIDTHS.get(operation, (3, 70))
    for width in (hidden, others[hidden == 40]):
        layer: Any = Recurrent(kind, 3, hidden, joined_size=width, dtype=torch.float64)
        layer, input = randomize(layer), torch.randn(5, 3, 3, dtype=torch.float64)
        with torch.no_grad():
            layer.get_parameter("cells.0.weight_hh").mul_(0.2)  # 40 units would saturate
        found, expected = results(layer, input, path), results(layer, input, "reference")
        # thousands of roundings of float64: gradients of weights are sums over steps and units
        assert_same(found, expected, 1e-11)


@pytest.mark.parametrize("path", PATHS)
def test_softmax_and_total(path: Backend) -> None:
    layer = randomize(Recurrent(SharesCell, 3, 21, dtype=torch.float64))
    input = torch.randn(5, 3, 3, dtype=torch.float64)
    assert_same(results(layer, input, path), results(layer, input, "reference"), 1e-11)


@pytest.mark.parametrize("path", PATHS)
def test_softmax_is_torchs_at_any_size(path: Backend) -> None:
    cell: Any = SharesCell(2, 4, bias=False, dtype=torch.float64)
    with torch.no_grad():
        cell.weight_hh.zero_()
        cell.weight_ih.copy_(torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
    inf, nan = math.inf, math.nan
    pairs = [
        (1.0, 2.0),
        (800.0, -3.0),
        (-1e5, 1e5),
        (inf, 1.0),
        (1.0, -inf),
        (nan, 1.0),
        (1.0, nan),
    ]
    input = torch.tensor([pairs], dtype=torch.float64)
    with backend(path), torch.no_grad():
        found, _ = Recurrent(cell, 2, 4)(input)
    expected = torch.softmax(torch.nn.functional.linear(input, cell.weight_ih), -1)
    torch.testing.assert_close(found, expected, rtol=1e-14, atol=0, equal_nan=True)


def test_the_gradient_of_softmax_is_torchs() -> None:
    value = torch.randn(3, 7, dtype=torch.float64, requires_grad=True)

    def composed(value: Tensor) -> Tensor:
        found: Tensor = softmax(
            value,
            lambda each: ACROSS["largest"].value(each, 7),
            lambda each: ACROSS["total"].value(each, 7),
        )
        return found

    weights = torch.randn(3, 7, dtype=torch.float64)
    grads = [
        torch.autograd.grad((function(value) * weights).sum(), value)
        for function in (composed, lambda value: torch.softmax(value, -1))
    ]
    assert_same(grads[0], grads[1], 1e-15)


@pytest.mark.parametrize("operation", [name for name, row in ACROSS.items() if row.gradient])
def test_what_is_passed_back_is_autograds(operation: str) -> None:
    row = ACROSS[operation]
    assert row.gradient is not None
    value = torch.randn(2, 5, dtype=torch.float64, requires_grad=True)
    width = WIDTHS.get(operation, (3, 70))[0]
    received = torch.randn(2, width, dtype=torch.float64)
    (expected,) = torch.autograd.grad(row.value(value, width), value, received)
    assert_same(row.gradient(received, 5), expected, 1e-15)


@pytest.mark.parametrize("path", [*PATHS, "reference"])
@pytest.mark.parametrize(
    ("operation", "wide", "wants"),
    [
        ("rest", 6, "at most as many"),
        ("repeated", 12, "a multiple of them"),
        ("tiled", 4, "a multiple of them"),
        ("folded", 2, "a divisor of them"),
        ("grouped", 2, "a divisor of them"),
        ("cumulative", 4, "as many"),
    ],
)
def test_widths_that_do_not_fit(operation: str, wide: int, wants: str, path: Backend) -> None:
    layer: Any = Recurrent(joining(operation), 3, 5, joined_size=wide)
    message = rf"'A' \({operation}\) is applied to 5 units, and its result should have {wants}, got"
    with backend(path), pytest.raises(StepError, match=message):
        layer(torch.randn(4, 2, 3))
