"""Scientific claims of the papers of LRN, eLSTM, SLi-GRU, PLRNN, GILR-LSTM, LRCU and GRU1 to 3."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchrecurrent import (
    LRNCell,
)

from .making import randomize

F64 = torch.float64


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=F64)


@torch.no_grad()
def test_lrn_with_opposite_gates_is_a_moving_average() -> None:
    cell: Any = randomize(LRNCell(3, 4, nonlinearity="identity", dtype=F64))
    for name in ("weight_ih", "bias_ih"):
        cell.block(name, "q").copy_(-cell.block(name, "p"))
    x, h = normal(50, 3), normal(50, 4)
    new = cell(x, h)
    value = x @ cell.block("weight_ih", "r").T + cell.block("bias_ih", "r")
    assert bool((torch.minimum(value, h) <= new).all())
    assert bool((new <= torch.maximum(value, h)).all())
