"""Cells made of cells: their mathematics, and that a layer runs them as it does any cell."""

from __future__ import annotations

import pickle
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from torchrecurrent import (
    FastSlow,
    GRUCell,
    IntersectionRNNCell,
    LSTMCell,
    MCLSTMCell,
    Multiplicative,
    MultiplicativeLSTMCell,
    Recurrent,
    RNNCell,
    TGRUCell,
    UnICORNNCell,
    tauGRUCell,
)

from .making import assert_same, gradients, randomize, tensors
from .oracles import oracle
from .oracles.wrappers import Bound, fast_slow, multiplicative

F64 = torch.float64
# A few hundred roundings of float64, as for the cells.
TOLERANCE = 1e-12


def bound(cell: Any) -> Bound:
    """The oracle of ``cell`` with its parameters."""
    parameters = {name: value.numpy() for name, value in cell.state_dict().items()}
    return partial(oracle(type(cell).__name__), parameters)


def compare(cell: Any, expected: Bound, width: int = 3) -> None:
    """Four steps from random states, against NumPy."""
    state = [torch.randn_like(each) for each in tensors(cell.init_hidden())]
    theirs = tuple(each.numpy() for each in state)
    for x in torch.randn(4, width, dtype=F64):
        with torch.no_grad():
            result = cell(x, state[0] if len(state) == 1 else tuple(state))
        separate = isinstance(result, tuple) and isinstance(result[1], tuple)
        output, state = (result[0], list(result[1])) if separate else (None, list(tensors(result)))
        y, theirs = expected(x.numpy(), *theirs)
        for ours, other in zip(state, theirs, strict=True):
            assert np.abs(ours.numpy() - other).max() < TOLERANCE
        assert output is None or np.abs(output.numpy() - y).max() < TOLERANCE


@pytest.mark.parametrize("kind", [RNNCell, GRUCell, LSTMCell, MCLSTMCell, MultiplicativeLSTMCell])
@pytest.mark.parametrize("bias", [True, False])
def test_multiplicative_equals_its_oracle(kind: Any, bias: bool) -> None:
    cell = randomize(Multiplicative(kind, 3, 4, bias, dtype=F64))
    own = {
        "weight_mx": cell.weight_mx.detach().numpy(),
        "weight_mh": cell.weight_mh.detach().numpy(),
    }
    compare(cell, partial(multiplicative, bound(cell.cell), own))


def test_a_multiplicative_lstm_is_a_wrapped_lstm() -> None:
    declared = randomize(MultiplicativeLSTMCell(3, 4, recurrent_bias=False, dtype=F64))
    wrapped = Multiplicative(LSTMCell, 3, 4, dtype=F64)
    declared.block("bias_ih", "m").data.zero_()
    with torch.no_grad():
        wrapped.weight_mx.copy_(declared.block("weight_ih", "m"))
        wrapped.weight_mh.copy_(declared.get_parameter("weight_hh"))
        for gate in "ifgo":
            wrapped.cell.block("weight_ih", gate).copy_(declared.block("weight_ih", gate))
            wrapped.cell.block("bias_ih", gate).copy_(declared.block("bias_ih", gate))
            wrapped.cell.block("weight_hh", gate).copy_(declared.block("weight_mh", f"V_{gate}"))
            wrapped.cell.block("bias_hh", gate).copy_(declared.block("bias_mh", f"V_{gate}"))
    x, hx = torch.randn(5, 3, dtype=F64), tuple(torch.randn(2, 5, 4, dtype=F64))
    assert_same(wrapped(x, hx), declared(x, hx))


@pytest.mark.parametrize("slow_size", [0, 6])
@pytest.mark.parametrize("count", [2, 3, 4])
def test_fast_slow_equals_its_oracle(count: int, slow_size: int) -> None:
    cell = randomize(
        FastSlow(LSTMCell, GRUCell, 3, 4, num_fast=count, slow_size=slow_size, dtype=F64)
    )
    fast = [bound(each) for each in cell.fast]
    compare(cell, partial(fast_slow, fast, bound(cell.slow), split=2))
    assert [tuple(state.shape) for state in cell.init_hidden(5)] == [
        (5, 4),
        (5, 4),
        (5, slow_size or 4),
    ]


def test_fast_cells_may_differ_if_their_states_do_not() -> None:
    cell = randomize(FastSlow([RNNCell, GRUCell, RNNCell], LSTMCell, 3, 4, dtype=F64))
    fast = [bound(each) for each in cell.fast]
    compare(cell, partial(fast_slow, fast, bound(cell.slow), split=1))


def test_the_slow_cell_is_seen_by_the_second_fast_cell_alone() -> None:
    cell = randomize(FastSlow(RNNCell, RNNCell, 3, 4, num_fast=3, dtype=F64))
    x, state = torch.randn(3, dtype=F64), cell.init_hidden()
    with torch.no_grad():
        cell.fast_cells[1].get_parameter("weight_ih").zero_()
    before, _ = cell(x, state)
    after, _ = cell(x, (state[0], state[1] + 1))
    assert torch.equal(before, after)


FACTORIES: list[Any] = [
    partial(Multiplicative, RNNCell),
    partial(Multiplicative, LSTMCell),
    partial(Multiplicative, MCLSTMCell),
    partial(FastSlow, LSTMCell, RNNCell, slow_size=3),
    partial(FastSlow, MCLSTMCell, LSTMCell, num_fast=3),
]


@pytest.mark.parametrize("factory", FACTORIES, ids=lambda factory: str(factory.args))
def test_in_a_layer(factory: Any) -> None:
    layer = randomize(Recurrent(factory, 3, 4, 2, bidirectional=True, dtype=F64))
    input = torch.randn(6, 2, 3, dtype=F64)
    output, state = layer(input, lengths=[6, 4])
    assert output.shape == (6, 2, 8)
    assert not output[4:, 1].any()
    alone, _ = layer(input[:4, 1])
    assert_same(output[:4, 1], alone)
    assert_same(layer(input, layer.init_hidden(2)), layer(input))
    assert_same(pickle.loads(pickle.dumps(layer))(input), layer(input))
    assert "reference: " in layer.explain(input)
    assert all(found.isfinite().all() for found in gradients(layer, output, state).values())


@pytest.mark.parametrize("factory", FACTORIES, ids=lambda factory: str(factory.args))
def test_a_sequence_may_be_cut_and_a_step_taken_alone(factory: Any) -> None:
    layer = randomize(Recurrent(factory, 3, 4, dtype=F64))
    input = torch.randn(5, 2, 3, dtype=F64)
    output, last = layer(input)
    first, middle = layer(input[:3])
    second, end = layer(input[3:], middle)
    assert_same(torch.cat([first, second]), output)
    assert_same(end, last)
    unbatched = list(tensors(layer.cells[0](input[0, 0])))
    batched = [each[0] for each in tensors(layer.cells[0](input[0]))]
    assert_same(unbatched, batched)


def test_options_reach_the_cells() -> None:
    cell = Multiplicative(UnICORNNCell, 3, 4, bias=False, dt=0.5, multiplicative_kernel_init="ones")
    assert isinstance(cell.cell, UnICORNNCell)
    assert cell.cell.dt == 0.5
    assert not [name for name, _ in cell.named_parameters() if "bias" in name]
    assert torch.equal(cell.weight_mx, torch.ones(4, 3))
    with torch.no_grad():
        cell.weight_mx.zero_()
        cell.cell.get_parameter("weight_ih").zero_()
    cell.reset_parameters()
    assert torch.equal(cell.weight_mx, torch.ones(4, 3))
    assert cell.cell.get_parameter("weight_ih").any()
    fast_slow = FastSlow(RNNCell, RNNCell, 3, 4, bias=False)
    assert not [name for name, _ in fast_slow.named_parameters() if "bias" in name]
    fast_slow.slow.get_parameter("weight_ih").data.zero_()
    fast_slow.reset_parameters()
    assert fast_slow.slow.get_parameter("weight_ih").any()


@pytest.mark.parametrize("kind", [TGRUCell, tauGRUCell])
def test_a_cell_that_reads_more_than_its_state_is_not_multiplied(kind: Any) -> None:
    with pytest.raises(ValueError, match="recurrent products all read its first state, 'h'; those"):
        Multiplicative(kind, 3, 4)


def test_wrong_cells_are_named() -> None:
    with pytest.raises(TypeError, match="cell should make cells of torchrecurrent, got: GRUCell"):
        Multiplicative(nn.GRUCell, 3, 4)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="fast: expected at least 2 fast cells, got 1"):
        FastSlow(RNNCell, RNNCell, 3, 4, num_fast=1)
    with pytest.raises(ValueError, match=r"same states.*RNNCell with \('h',\).*LSTMCell with"):
        FastSlow([RNNCell, LSTMCell], RNNCell, 3, 4)


@pytest.mark.parametrize(
    "cell", [Multiplicative(LSTMCell, 3, 4), FastSlow(RNNCell, LSTMCell, 3, 4)], ids=["M", "FS"]
)
def test_wrong_arguments_are_named(cell: Any) -> None:
    x, good = torch.zeros(2, 3), cell.init_hidden(2)
    with pytest.raises(ValueError, match="Expected input to be 1D or 2D, got 3D"):
        cell(torch.zeros(1, 2, 3))
    with pytest.raises(RuntimeError, match="Expected 3, got 5"):
        cell(torch.zeros(2, 5))
    with pytest.raises(TypeError, match="hx should be a tuple of"):
        cell(x, good[0])
    wide: list[Tensor] = [torch.zeros(2, 9), *good[1:]]
    with pytest.raises(RuntimeError, match="got 9, expected 4"):
        cell(x, tuple(wide))


def test_an_intersection_network_keeps_its_form_of_output() -> None:
    cell = Multiplicative(IntersectionRNNCell, 4, 4)
    output, (h,) = cell(torch.zeros(2, 4))
    assert output.shape == h.shape == (2, 4)
