"""Modules of torch in a layer: traced into a kernel that computes what the loop does."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from torchrecurrent import Recurrent, backend

from .paper_cells import PAPER_CELLS, TwoLinears

INPUT, HIDDEN = 3, 5
OF_TORCH: list[Any] = [
    nn.GRUCell,
    nn.LSTMCell,
    nn.RNNCell,
    partial(nn.RNNCell, nonlinearity="relu"),
    partial(nn.GRUCell, bias=False),
    partial(nn.LSTMCell, bias=False),
]


def results(layer: Recurrent, x: Tensor, hx: Any = None) -> list[Tensor]:
    """Outputs, states and all gradients of a call, for a loss in which all have weights."""
    layer.zero_grad()
    given = [x, *(hx if isinstance(hx, tuple) else () if hx is None else (hx,))]
    given = [each.requires_grad_() for each in given]
    output, state = layer(x, hx)
    made = [output, *(state if isinstance(state, tuple) else (state,))]
    generator = torch.Generator().manual_seed(1)
    loss = sum((each * torch.randn(each.shape, generator=generator)).sum() for each in made)
    leaves = [*given, *layer.parameters()]
    grads = torch.autograd.grad(loss, leaves, allow_unused=True)
    return [*made, *(torch.zeros(()) if grad is None else grad for grad in grads)]


def check(
    module: nn.Module,
    widths: tuple[int, ...] | None = None,
    rounding: float = 1e-9,
    input_size: int = INPUT,
) -> None:
    """The kernel runs, and agrees with the loop in float64, with and without gradients.

    The parameters stay where the module has them.
    """
    module = module.double()
    own = list(module.parameters())
    saved = {key: value.clone() for key, value in module.state_dict().items()}
    layer = Recurrent([module], input_size, HIDDEN).double()
    hx: Any = None
    if widths is not None:
        hx = tuple(torch.randn(1, 4, width, dtype=torch.float64) for width in widths)
        hx = hx[0] if len(hx) == 1 else hx
    x = torch.randn(6, 4, input_size, dtype=torch.float64)
    assert "c: one fused kernel runs" in layer.explain(x, hx), layer.explain(x, hx)
    with backend("c"):
        ours = results(layer, x, hx)
        with torch.no_grad():
            shown = layer(x, hx)[0]
    with backend("reference"):
        theirs = results(layer, x, hx)
    for a, b in zip((*ours, shown), (*theirs, theirs[0]), strict=True):
        # both are float64; only the order of sums differs
        torch.testing.assert_close(a, b, rtol=rounding, atol=rounding)
    assert all(a is b for a, b in zip(layer.parameters(), own, strict=True))
    now = module.state_dict()
    assert list(now) == list(saved)
    assert all(torch.equal(now[key], value) for key, value in saved.items())


@pytest.mark.parametrize("kind", OF_TORCH)
def test_cells_of_torch(kind: Any) -> None:
    check(kind(INPUT, HIDDEN))


@pytest.mark.parametrize(("kind", "widths"), PAPER_CELLS)
def test_cells_of_papers(kind: Any, widths: tuple[int, ...] | None) -> None:
    check(kind(INPUT, HIDDEN), widths)


class Joining(nn.Module):
    """A cell whose step joins its units by a function."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.x, self.h, self.function = (
            nn.Linear(INPUT, HIDDEN),
            nn.Linear(HIDDEN, HIDDEN),
            function,
        )

    def forward(self, input: Tensor, h: Tensor | None = None) -> Tensor:
        before = input.new_zeros(input.size(0), HIDDEN) if h is None else h
        found: Tensor = self.function(self.x(input) + self.h(before))
        return found


@pytest.mark.parametrize(
    "function",
    [
        lambda value: torch.softmax(value, -1),
        lambda value: torch.tanh(value) * value.softmax(dim=1),
        lambda value: value / value.abs().sum(-1, keepdim=True),
        lambda value: torch.tanh(value - value.mean(1, keepdim=True)),
        lambda value: torch.tanh(value).cumsum(-1) / INPUT,
    ],
    ids=["softmax", "softmax of dim 1", "sum", "mean", "cumsum"],
)
def test_units_that_are_joined(function: Any) -> None:
    check(Joining(function))


def test_the_largest_of_the_units_runs_by_the_loop() -> None:
    layer = Recurrent([Joining(lambda value: value - value.amax(-1, keepdim=True))], INPUT, HIDDEN)
    assert "the gradient of its forward is not that of" in layer.explain(torch.randn(2, 3, INPUT))


def test_given_states_and_lengths() -> None:
    layer = Recurrent([nn.LSTMCell(3, 5, dtype=torch.float64)], 3, 5)
    x = torch.randn(6, 4, 3, dtype=torch.float64)
    hx = torch.randn(1, 4, 5).double(), torch.randn(1, 4, 5).double()
    with backend("c"):
        ours, cut = results(layer, x, hx), layer(x, hx, lengths=[2, 6, 0, 3])[0]
    with backend("reference"):
        theirs, also = results(layer, x, hx), layer(x, hx, lengths=[2, 6, 0, 3])[0]
    for a, b in zip((*ours, cut), (*theirs, also), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_stacks_and_directions() -> None:
    x = torch.randn(6, 4, 3, dtype=torch.float64)
    merges: tuple[Any, ...] = ("concat", "sum")
    for merge in merges:
        layer = Recurrent(
            nn.GRUCell, 3, 5, num_layers=2, bidirectional=True, merge=merge, dtype=torch.float64
        )
        assert layer.explain(x).count(": c: one fused kernel") == 4
        with backend("c"):
            ours = results(layer, x)
        with backend("reference"):
            theirs = results(layer, x)
        for a, b in zip(ours, theirs, strict=True):
            # both are float64; only the order of sums differs
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_a_module_that_fails_does_so_by_itself(capfd: pytest.CaptureFixture[str]) -> None:
    layer = Recurrent([TwoLinears(4, 5)], 3, 5)
    x = torch.randn(6, 4, 3)
    assert ": reference: its forward can't be traced: RuntimeError" in layer.explain(x)
    with pytest.raises(RuntimeError, match="mat1 and mat2 shapes"):
        layer(x)
    assert not capfd.readouterr().err


def test_second_derivatives() -> None:
    layer = Recurrent([nn.GRUCell(3, 5, dtype=torch.float64)], 3, 5)
    x = torch.randn(3, 2, 3, dtype=torch.float64, requires_grad=True)
    with backend("c"):
        assert torch.autograd.gradgradcheck(lambda x: layer(x)[0].sum(), (x,))
