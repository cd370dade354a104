"""Parameters that are not trained, which the cell computes with all the same."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
import torch

from torchrecurrent import GRU, LSTM, Recurrent, RecurrentLayer, RNNCell, backend
from torchrecurrent.engine import Backend

from .exporting import check_layer
from .making import assert_same, gradients, input_for, make

F64 = torch.float64
CHOICES: list[Backend] = ["c", "reference"]
T, N = 5, 3


def half_frozen(layer: Any) -> tuple[Any, list[str]]:
    """The same layer with every second parameter frozen, and their names."""
    names = list(layer.cells[0].state_dict())[::2]
    own = dict.fromkeys(layer.cells[0].frozen)
    frozen = type(layer)(layer.input_size, 4, frozen=[*names, *own], dtype=F64)
    frozen.load_state_dict(layer.state_dict())
    return frozen, [f"cells.0.{name}" for name in (*names, *own)]


@pytest.mark.parametrize("choice", CHOICES)
def test_nothing_else_changes(layer_class: type[RecurrentLayer], choice: Backend) -> None:
    layer = make(layer_class)
    frozen, names = half_frozen(layer)
    assert list(frozen.state_dict()) != []
    assert set(frozen.state_dict()) == set(layer.state_dict())
    assert {k for k, each in frozen.named_parameters() if not each.requires_grad} == set(names)
    x = input_for(layer, T, N)
    with backend(choice):
        assert f": {choice}: " in frozen.explain(x) or choice == "reference"
        expected, ours = layer(x), frozen(x)
        assert_same(ours, expected, 0)
        trained = gradients(layer, expected)
        left = gradients(frozen, ours)
    assert left.keys() == trained.keys() - set(names)
    assert_same(list(left.values()), [trained[name] for name in left], 0)


def test_a_cell_of_frozen_parameters_alone() -> None:
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    cell: Any = RNNCell(3, 4, frozen=names, dtype=F64)
    assert not any(each.requires_grad for each in cell.parameters())
    layer = Recurrent(cell, 3, 4)
    x = torch.randn(T, N, 3, dtype=F64, requires_grad=True)
    found = []
    for choice in CHOICES:
        with backend(choice):
            output, state = layer(x)
            (grad,) = torch.autograd.grad(output.sum(), x)
            found.append([output, state, grad])
    assert_same(found[0], found[1])
    with torch.no_grad():
        cell.weight_ih.mul_(2)
        again = cell(x[0].detach(), torch.zeros(N, 4, dtype=F64))
        expected = torch.tanh(x[0] @ cell.weight_ih.T + cell.bias_ih + cell.bias_hh)
        assert_same(again, expected)


def test_an_optimiser_leaves_them_alone() -> None:
    layer = GRU(3, 4, frozen=("weight_ih",))
    first: Any = layer.cells[0]
    before = first.weight_ih.clone()
    optimiser = torch.optim.AdamW(layer.parameters(), weight_decay=0.5)
    layer(torch.randn(T, N, 3))[0].sum().backward()
    optimiser.step()
    assert torch.equal(first.weight_ih, before)
    copied: Any = copy.deepcopy(layer).double()
    copied.load_state_dict(layer.state_dict(), assign=True)
    assert not copied.cells[0].weight_ih.requires_grad


def test_reset_parameters_draws_them_again() -> None:
    cell: Any = RNNCell(3, 4, frozen=("weight_hh",), recurrent_kernel_init="ones")
    with torch.no_grad():
        cell.weight_hh.zero_()
    cell.reset_parameters()
    assert bool((cell.weight_hh == 1).all())
    assert not cell.weight_hh.requires_grad


def test_options_that_make_no_parameter() -> None:
    layer = LSTM(3, 4, bias=False, frozen=("bias_ih", "weight_hh"))
    assert [each.requires_grad for each in layer.parameters()] == [True, False]
    assert "frozen=('bias_ih', 'weight_hh')" in repr(layer.cells[0])


def test_weight_dropout_of_a_frozen_weight() -> None:
    layer = LSTM(3, 4, frozen=("weight_hh",), weight_dropout=0.5, dtype=F64)
    x, found = torch.randn(T, N, 3, dtype=F64), []
    for choice in CHOICES:
        torch.manual_seed(0)
        with backend(choice):
            found.append(layer(x))
    assert_same(found[0], found[1])


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:onnxscript")
@pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec:FutureWarning")
@pytest.mark.parametrize("kind", [LSTM, GRU])
def test_exports_and_compiles(kind: Any) -> None:
    layer = kind(3, 4, frozen=("weight_hh", "bias_ih")).eval()
    x = torch.randn(T, N, 3)
    expected = layer(x)
    # rounding of float32 in sums of some numbers of size one
    compiled: Any = torch.compile(layer, fullgraph=True, backend="eager")
    assert_same(compiled(x), expected, 1e-6)
    program: Any = torch.export.export(layer, (x,))
    stored = io.BytesIO()
    torch.export.save(program, stored)
    stored.seek(0)
    loaded: Any = torch.export.load(stored)
    assert_same(loaded.module()(x), expected, 1e-6)
    check_layer(layer)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (("weight_hx",), ValueError, r"frozen: expected names of parameters .weight_ih.*weight_hx"),
        ("weight_hh", TypeError, "frozen should be of type tuple of str, got: str"),
        ((1,), TypeError, "a name in frozen should be of type str, got: int"),
    ],
)
def test_errors(given: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        RNNCell(3, 4, frozen=given)
