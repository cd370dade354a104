"""Scientific claims of the papers of cells whose step joins their units."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchrecurrent import MassConservingLSTM, MassConservingLSTMCell

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
