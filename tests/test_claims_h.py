"""Scientific claims of the papers of state-space models and other cells that are cheap in time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchrecurrent import (
    GRUResetBeforeCell,
    ParaGRUCell,
    ParaLSTM,
)

from .making import assert_same, randomize

F64 = torch.float64


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=F64)


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
