"""Scientific claims of the papers of state-space models and other cells that are cheap in time."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from torchrecurrent import (
    GRUResetBeforeCell,
    HGRNCell,
    ParaGRUCell,
    ParaLSTM,
)

from .making import assert_same, randomize

F64 = torch.float64


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=F64)


@torch.no_grad()
def test_the_forget_gate_of_hgrn_stays_above_its_bound() -> None:
    cell = randomize(HGRNCell(3, 4, bias=False, gamma=0.9, dtype=F64))
    for size in (0.0, 1.0, 1e3):  # kernels of the forget gate; without them it is half open
        with torch.no_grad():
            cell.block("weight_ih", "mu").normal_(0, size)
            for name in ("c_re", "c_im"):  # nothing is written
                cell.block("weight_ih", name).zero_()
        state = normal(50, 4), normal(50, 4)
        _, new = cell(normal(50, 3), state)
        kept = torch.complex(*new).abs() / torch.complex(*state).abs()
        assert 0.9 - 1e-12 < float(kept.min()) <= float(kept.max()) < 1 + 1e-12
        if not size:
            assert_same(kept, torch.full_like(kept, 0.95))


@torch.no_grad()
def test_hgrn_turns_its_state_by_its_angle() -> None:
    cell = HGRNCell(3, 4, bias=False, dtype=F64)
    state = normal(1, 4), normal(1, 4)
    _, new = cell(torch.zeros(1, 3, dtype=F64), state)
    turned = torch.complex(*new) / torch.complex(*state)
    assert_same(turned.angle()[0], torch.tensor([1, 1e-2, 1e-4, 1e-6], dtype=F64))


@pytest.mark.parametrize("gamma", [-0.1, 1.0])
def test_the_bound_of_hgrn_leaves_something_to_forget(gamma: float) -> None:
    with pytest.raises(ValueError, match=f"gamma should be .* less than 1, got {gamma}"):
        HGRNCell(3, 4, gamma=gamma)


def test_para_gru_is_a_diagonal_gru() -> None:
    """The reset gate comes before the product, and z is 1 - z."""
    cell: Any = randomize(ParaGRUCell(3, 4, dtype=F64))
    gru: Any = GRUResetBeforeCell(3, 4, recurrence="diagonal", recurrent_bias=False, dtype=F64)
    with torch.no_grad():
        for parameter, last in (("weight_ih", "n"), ("bias_ih", "n"), ("weight_hh", "u")):
            for name in ("z", "r", last):
                block = cell.block(parameter, name)
                name = "U" if name == "u" else name
                gru.block(parameter, name).copy_(-block if name == "z" else block)
    x, h = normal(2, 3), normal(2, 4)
    assert_same(cell(x, h), gru(x, h))


def test_the_memory_of_para_lstm_is_bounded() -> None:
    """It is a moving average of values between -1 and 1."""
    layer = ParaLSTM(3, 4, dtype=F64)
    for size in (0.5, 10.0):
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.normal_(0, size)
        _, (h, c) = layer(normal(200, 2, 3))
        assert float(c.detach().abs().max()) <= 1
        assert float(h.detach().abs().max()) < 1
