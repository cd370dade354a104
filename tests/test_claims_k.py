"""Scientific claims of the papers of cells whose step joins their units."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from torchrecurrent import (
    GRUResetBeforeCell,
    LSTMCell,
    MassConservingLSTM,
    MassConservingLSTMCell,
    ONLSTMCell,
    Recurrent,
    SkipGRUCell,
    SkipLSTMCell,
)

from .making import assert_same, randomize

F64 = torch.float64


def flows(sequences: int, steps: int, auxiliary: int) -> Tensor:
    """Masses, which are not negative, and what the gates see besides."""
    masses = torch.rand(steps, sequences, 1, dtype=F64)
    return torch.cat([masses, torch.randn(steps, sequences, auxiliary, dtype=F64)], -1)


@torch.no_grad()
def test_an_mc_lstm_conserves_mass() -> None:
    layer = randomize(MassConservingLSTM(3, 6, dtype=F64))
    first, input = torch.rand(1, 4, 6, dtype=F64), flows(4, 200, 2)
    output, stored = layer(input, first)
    came = first.sum((0, 2)) + input[..., 0].sum(0)
    # hundreds of roundings of sums near 100
    assert_same(output.sum((0, 2)) + stored.sum((0, 2)), came, 1e-11)
    assert bool((output >= 0).all())
    assert bool((stored >= 0).all())


@torch.no_grad()
def test_an_mc_lstm_does_not_see_the_scale_of_masses() -> None:
    layer = randomize(MassConservingLSTM(3, 6, dtype=F64))
    input = flows(4, 30, 2)
    output, stored = layer(input)
    input[..., 0] *= 1000
    many, all_stored = layer(input)
    assert_same((many / 1000, all_stored / 1000), (output, stored))


@torch.no_grad()
def test_an_mc_lstm_begins_with_little_flow_and_most_masses_in_their_places() -> None:
    cell: Any = MassConservingLSTMCell(3, 6, dtype=F64)
    kernel = cell.recurrent_kernel()
    torch.testing.assert_close(kernel.sum(0), torch.ones(6, dtype=F64))
    assert bool((kernel.diagonal() > kernel.amax(0) - 1e-15).all())
    torch.testing.assert_close(cell.block("bias_ih", "W_o"), torch.full((6,), -3.0, dtype=F64))


def ordered(write_up_to: int, keep_from: int, chunk_size: int = 1) -> tuple[Any, Any]:
    """An ON-LSTM whose master gates are as good as steps along its units, and the LSTM in it."""
    cell: Any = randomize(ONLSTMCell(3, 6, chunk_size=chunk_size, dtype=F64))
    cell.block("bias_ih", "m_i")[write_up_to] = 1e3
    cell.block("bias_ih", "m_f")[keep_from] = 1e3
    lstm: Any = LSTMCell(3, 6, dtype=F64)
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        for gate in "ifgo":
            lstm.block(name, gate).copy_(cell.block(name, gate))
    return cell, lstm


@torch.no_grad()
def test_on_lstm_writes_up_to_a_unit_and_keeps_from_another() -> None:
    x, h, c = (torch.randn(5, width, dtype=F64) for width in (3, 6, 6))
    cell, lstm = ordered(4, 2)
    (_, new), (_, plain) = cell(x, (h, c)), lstm(x, (h, c))
    g = torch.tanh(_product(cell, "g", x, h))
    assert_same(new[:, :2], g[:, :2])  # written anew
    assert_same(new[:, 2:4], plain[:, 2:4])  # as in an LSTM
    assert_same(new[:, 4:], c[:, 4:])  # kept as they are
    cell, _ = ordered(1, 5)
    _, new = cell(x, (h, c))
    assert not new[:, 1:5].abs().max() > 1e-12  # neither written nor kept


@torch.no_grad()
def test_chunks_of_an_on_lstm_are_opened_together() -> None:
    x, h, c = (torch.randn(5, width, dtype=F64) for width in (3, 6, 6))
    cell, lstm = ordered(2, 1, chunk_size=2)
    (_, new), (_, plain) = cell(x, (h, c)), lstm(x, (h, c))
    assert_same(new[:, 2:4], plain[:, 2:4])
    assert_same(new[:, 4:], c[:, 4:])


def _product(cell: Any, name: str, x: Tensor, h: Tensor) -> Tensor:
    found = x @ cell.block("weight_ih", name).T + h @ cell.block("weight_hh", name).T
    return found + cell.block("bias_ih", name) + cell.block("bias_hh", name)  # type: ignore[no-any-return]


SKIPPING = [(SkipLSTMCell, LSTMCell), (SkipGRUCell, GRUResetBeforeCell)]


def skipping(kind: Any, peer: Any, chance: float) -> tuple[Any, Any]:
    """A cell that gathers the same chance of an update at each step, and the cell in it."""
    cell, plain = randomize(kind(3, 5, dtype=F64)), peer(3, 5, dtype=F64)
    cell.get_parameter("weight_update").zero_()
    cell.get_parameter("bias_update").fill_(torch.logit(torch.tensor(chance, dtype=F64)))
    for name, value in plain.named_parameters():
        value.copy_(cell.get_parameter(name))
    return cell, plain


@torch.no_grad()
@pytest.mark.parametrize(("kind", "peer"), SKIPPING)
def test_a_cell_that_skips_updates_when_it_has_gathered_enough(kind: Any, peer: Any) -> None:
    # of 1, .9: at every step; of .2: .2, .4, .6, so every third; of .06: every ninth
    for chance, every in ((0.9, 1), (0.2, 3), (0.06, 9)):
        cell, plain = skipping(kind, peer, chance)
        input = torch.randn(30, 2, 3, dtype=F64)
        output, last = Recurrent(cell, 3, 5)(input)
        updates, state = Recurrent(plain, 3, 5)(input[::every])
        assert_same(output, updates.repeat_interleave(every, 0)[:30])
        assert_same(last[:-1], state if isinstance(state, tuple) else (state,))


@pytest.mark.parametrize(("kind", "peer"), SKIPPING)
def test_the_rounding_of_a_cell_that_skips_passes_its_gradient_on(kind: Any, peer: Any) -> None:
    with torch.no_grad():
        cell, _ = skipping(kind, peer, 0.2)
    width, states = len(cell.state_names) - 1, torch.randn(2, 4, 5, dtype=F64)
    wait = torch.full((4, 1), 0.7, dtype=F64, requires_grad=True)  # no update
    new = cell(torch.randn(4, 3, dtype=F64), (*states[:width], wait))
    (grad,) = torch.autograd.grad(new[0].sum(), wait)
    assert_same(new[0], states[0])
    assert bool((grad != 0).all())
