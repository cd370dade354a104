"""``output_size`` is how wide the output is, of every cell, every layer and every stack."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from torchrecurrent import (
    LRU,
    LSTM,
    BaseRecurrentCell,
    FastSlow,
    GRUCell,
    LinOSS,
    LRUCell,
    LSTMCell,
    MCLSTMCell,
    Multiplicative,
    Recurrent,
    RecurrentLayer,
    nBRCell,
)

from .making import input_for, make, tensors
from .test_padding import Leaky, Reader

I, H, T, N = 3, 4, 5, 2
F64 = torch.float64


def check(layer: Any) -> int:
    """Compare it with an output; return it."""
    input = input_for(layer, T, N)
    output, _ = layer(input)
    assert output.shape == (T, N, layer.output_size)
    assert layer(input, lengths=[5, 2])[0].shape == output.shape
    assert layer(input[:, 0])[0].shape == (T, layer.output_size)
    layer.return_sequences = False
    assert layer(input)[0].shape == (N, layer.output_size)
    size: int = layer.output_size
    return size


@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_of_every_layer(
    layer_class: type[RecurrentLayer], num_layers: int, bidirectional: bool
) -> None:
    try:
        layer = make(layer_class, num_layers, bidirectional=bidirectional)
    except ValueError as error:  # the second layer of a cell as wide as its input would be wider
        assert "input_size == hidden_size is needed" in str(error)  # noqa: PT017
        assert num_layers == 2
        assert bidirectional
        return
    assert check(layer) == sum(cell.output_size for cell in layer.cells[-layer.num_directions :])


def test_of_every_cell(cell_class: type[BaseRecurrentCell]) -> None:
    cell = make(cell_class)
    for shape in ((), (N,)):
        result = cell(input_for(cell, *shape))
        output = result[0] if cell.signature.has_output else next(tensors(result))
        assert output.shape == (*shape, cell.output_size)


def test_where_it_is_not_the_hidden_size() -> None:
    projected = partial(LSTM, proj_size=2, dtype=F64)
    assert check(projected(I, H)) == 2
    assert check(projected(I, H, 2, bidirectional=True)) == 4
    assert Multiplicative(LSTMCell, I, H, proj_size=2).output_size == 2
    for kind in (LRU, LinOSS):  # their output is as wide as their input
        assert check(kind(I, H, 2, dtype=F64)) == I
        assert check(kind(I, H, bidirectional=True, dtype=F64)) == 2 * I
        assert check(kind(I, H, 2, bidirectional=True, dtype=F64)) == 4 * I


STACKS: dict[str, tuple[Any, int]] = {
    "cells of torch": ([partial(nn.LSTMCell, dtype=F64), partial(nn.GRUCell, dtype=F64)], H),
    "instances of other widths": ([nBRCell(I, H, dtype=F64), GRUCell(H, 9, dtype=F64)], 9),
    "a module that says nothing": ([Leaky], H),
    "a module with an output of its own": ([Leaky, Reader], 2),
    "as wide as their input": ([partial(LRUCell, dtype=F64), Reader], 2),
    "below others": ([Reader, partial(MCLSTMCell, dtype=F64)], H),
    "made of cells": ([partial(FastSlow, LSTMCell, GRUCell, slow_size=3, dtype=F64)], H),
    "multiplicative": ([partial(Multiplicative, partial(LSTMCell, proj_size=2), dtype=F64)], 2),
}


@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS)
def test_of_stacks_of_any_cells(stack: tuple[Any, int]) -> None:
    cells, expected = stack
    assert check(Recurrent(cells, I, H)) == expected


def test_of_two_directions_that_differ() -> None:
    pair = (nBRCell(I, H, dtype=F64), Reader(I, 6))
    layer = Recurrent([pair], I, H, bidirectional=True)
    assert check(layer) == H + 2
    upper = Recurrent([pair, partial(GRUCell, dtype=F64)], I, H, bidirectional=True)
    assert check(upper) == 2 * H
