"""The time since the step before: what it means, with the loop written out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from torchrecurrent import Recurrent, backend
from torchrecurrent.catalog.listing import cells
from torchrecurrent.cell import BaseRecurrentCell
from torchrecurrent.engine import Backend

from .making import assert_same, gradients, make, states_for, tensors

F64 = torch.float64
T, N = 7, 4
CHOICES: list[Backend] = ["c", "reference"]
TIMED = {name: kind for name, kind in cells().items() if kind.signature.gap is not None}
UNTIMED = {name: kind for name, kind in cells().items() if name not in TIMED}


def times(*shape: int) -> Tensor:
    """Times between steps, from 0.1 to 1.1."""
    return torch.rand(*shape, dtype=F64) + 0.1


def stepped(cell: BaseRecurrentCell, x: Tensor, hx: Any, dt: Tensor) -> tuple[Tensor, Any]:
    """Step by step, for each sequence by itself, with a cell whose option is the time."""
    outputs, last, name = [], [], str(cell.signature.gap)
    for n in range(x.size(1)):
        state = hx[n : n + 1] if isinstance(hx, Tensor) else tuple(h[n : n + 1] for h in hx)
        shown = []
        for t in range(x.size(0)):
            setattr(cell, name, float(dt[t, n]))
            state = cell(x[t, n : n + 1], state)
            shown.append(state if isinstance(state, Tensor) else state[0])
        outputs.append(torch.stack(shown))
        last.append((state,) if isinstance(state, Tensor) else state)
    states = tuple(torch.cat(parts) for parts in zip(*last, strict=True))
    return torch.cat(outputs, 1), states[0] if len(states) == 1 else states


def test_these_cells_have_times() -> None:
    named = "AntisymmetricRNN CfC coRNN CTRNN GatedAntisymmetricRNN LEM LipschitzRNN UnICORNN"
    assert {f"{name}Cell" for name in named.split()} <= set(TIMED)


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("name", TIMED)
def test_a_step_has_its_own_time_in_place_of_the_option(name: str, choice: Backend) -> None:
    cell = make(TIMED[name])
    x, dt, hx = torch.randn(T, N, cell.input_size, dtype=F64), times(T, N), states_for(cell, N)
    layer = Recurrent(cell, cell.input_size, cell.hidden_size)
    given = hx.unsqueeze(0) if isinstance(hx, Tensor) else tuple(h.unsqueeze(0) for h in hx)
    with backend(choice):
        output, state = layer(x, given, dt=dt)
        one, _ = layer(x, given, dt=dt[0])
        alone = cell(x[0], hx, dt=dt[0])
        with torch.no_grad():
            assert_same(cell(x[0], hx, dt=dt[0]), alone)
    expected, last = stepped(cell, x, hx, dt)
    assert_same(output, expected)
    assert_same([each.squeeze(0) for each in tensors(state)], last)
    first = alone if isinstance(alone, Tensor) else alone[0]
    assert_same(first, expected[0])
    assert_same(one, stepped(cell, x, hx, dt[0].expand(T, N))[0])


@pytest.mark.parametrize("name", TIMED)
def test_the_kernel_has_the_loops_gradients_of_times_too(name: str) -> None:
    layer = Recurrent(make(TIMED[name]), 3, 4)
    x, dt = torch.randn(T, N, 3, dtype=F64), times(T, N)
    found = []
    for choice in CHOICES:
        leaves = [x.clone().requires_grad_(), dt.clone().requires_grad_()]
        with backend(choice):
            assert choice in layer.explain(leaves[0], dt=leaves[1])
            output, state = layer(leaves[0], dt=leaves[1])
        grads = gradients(layer, output, state)
        found.append([output, state, *(leaf.grad for leaf in leaves), *grads.values()])
    assert_same(found[0], found[1], 1e-11)  # sums over more steps and units than one value's


@pytest.mark.parametrize("name", TIMED)
def test_gradcheck(name: str) -> None:
    layer = Recurrent(make(TIMED[name]), 3, 4)
    x, dt = torch.randn(3, 2, 3, dtype=F64), times(3, 2)
    for leaves in ([x, dt], [x, dt[0]]):
        inputs = [leaf.clone().requires_grad_() for leaf in leaves]
        assert torch.autograd.gradcheck(lambda x, dt: tuple(tensors(layer(x, dt=dt))), inputs)
    with backend("reference"):
        assert torch.autograd.gradgradcheck(
            lambda x, dt: layer(x, dt=dt)[0], [x.requires_grad_(), dt.requires_grad_()]
        )
