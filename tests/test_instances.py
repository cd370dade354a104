"""Instances as the cells of a layer: one, a list of them, in one direction or two."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from torchrecurrent import (
    BaseRecurrentCell,
    BRCell,
    FastSlow,
    GRUCell,
    LSTMCell,
    Multiplicative,
    Recurrent,
    backend,
    nBRCell,
)

from .making import assert_same, gradients, input_for, make, randomize, tensors
from .test_padding import Leaky, Reader

I, H, T, N = 3, 4, 5, 2
F64 = torch.float64


def parameters(*modules: nn.Module) -> set[int]:
    return {id(parameter) for module in modules for parameter in module.parameters()}


def test_backwards_an_instance_is_a_copy_initialised_anew(
    cell_class: type[BaseRecurrentCell],
) -> None:
    cell = make(cell_class, bias=False, recurrent_bias=True)  # options that a copy has as well
    before = copy.deepcopy(cell.state_dict())
    torch.manual_seed(1)
    layer: Any = Recurrent(cell, cell.input_size, H, bidirectional=True)
    forwards, backwards = layer.cells
    assert forwards is cell
    assert_same(before.values(), cell.state_dict().values(), 0)
    assert type(backwards) is cell_class
    assert repr(backwards) == repr(cell)
    assert not parameters(cell) & parameters(backwards)
    torch.manual_seed(1)
    kind: Any = cell_class
    anew = kind(cell.input_size, H, bias=False, recurrent_bias=True, dtype=F64)
    assert_same(backwards.state_dict().values(), anew.state_dict().values(), 0)
    # and it runs backwards, and is trained by itself
    randomize(backwards)
    input = input_for(cell, T, N)
    with backend("reference"):  # no kernel has to be compiled for these options
        output, h_n = layer(input)
        first, _ = Recurrent(cell, cell.input_size, H)(input)
        second, _ = Recurrent(backwards, cell.input_size, H)(input.flip(0))
    assert_same(output, torch.cat([first, second.flip(0)], -1))
    assert len(gradients(layer, output, h_n)) == 2 * len(list(cell.parameters()))


def test_a_list_of_instances_as_brc_pytorch_has_it() -> None:
    cells: list[Any] = [nBRCell(I, H)]
    for _ in range(2):
        cells.append(nBRCell(2 * H, H))
    layer: Any = Recurrent(
        cells, I, H, batch_first=True, bidirectional=True, return_sequences=False
    )
    assert list(layer.cells)[::2] == cells
    assert len({id(cell) for cell in layer.cells}) == 6
    assert len(parameters(layer)) == 6 * len(list(cells[0].parameters()))
    for given, other in zip(cells, list(layer.cells)[1::2], strict=True):
        assert given.input_size == other.input_size
        assert not torch.equal(given.weight_ih, other.weight_ih)
    output, h_n = layer(torch.randn(N, T, I))
    assert output.shape == (N, 2 * H)
    assert h_n.shape == (6, N, H)
    loaded = Recurrent(nBRCell, I, H, 3, batch_first=True, bidirectional=True)
    loaded.load_state_dict(layer.state_dict(), strict=True)


FOREIGN: list[Any] = [
    partial(nn.LSTMCell, dtype=F64),
    partial(nn.GRUCell, dtype=F64),
    Leaky,
    Reader,
    partial(Multiplicative, LSTMCell, dtype=F64),
    partial(FastSlow, LSTMCell, GRUCell, dtype=F64),
]


@pytest.mark.parametrize("factory", FOREIGN, ids=str)
def test_a_module_of_any_kind_is_copied(factory: Any) -> None:
    torch.manual_seed(0)
    cell = factory(I, H)
    torch.manual_seed(1)
    layer = Recurrent(cell, I, H, bidirectional=True)
    torch.manual_seed(1)
    anew = factory(I, H)
    forwards, backwards = layer.cells
    assert forwards is cell
    assert_same(backwards.state_dict().values(), anew.state_dict().values(), 0)
    assert not parameters(cell) & parameters(backwards)
    assert layer(torch.randn(T, N, I, dtype=F64))[0].size(-1) == layer.output_size


class Offset(nn.Module):
    """A cell with a parameter that nothing can initialise."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(I, H)
        self.offset = nn.Parameter(torch.ones(H))

    def forward(self, input: Tensor, state: Tensor | None) -> Tensor:
        new: Tensor = self.linear(input) + self.offset
        return new if state is None else new + state


def test_what_cannot_be_initialised_anew_is_not_copied() -> None:
    message = r"Offset can't be initialised anew: .*, and no method reset_parameters\(\)"
    with pytest.raises(TypeError, match=message):
        Recurrent(Offset(), I, H, bidirectional=True)
    pair = (Offset(), Offset())
    layer = Recurrent([pair], I, H, bidirectional=True)
    assert tuple(layer.cells) == pair
    with pytest.raises(TypeError, match=message):
        layer.reset_parameters()
    parts: Any = Recurrent(Leaky, I, H)
    before = parts.cells[0].linear.weight.clone()
    parts.reset_parameters()
    assert not torch.equal(parts.cells[0].linear.weight, before)


def test_a_pair_of_instances_is_used_as_it_is() -> None:
    pair, single = (LSTMCell(I, H), LSTMCell(I, H)), LSTMCell(2 * H, H)
    layer = Recurrent([pair, single, GRUCell], I, H, bidirectional=True)
    assert tuple(layer.cells)[:3] == (*pair, single)
    assert [type(cell) for cell in layer.cells[3:]] == [LSTMCell, GRUCell, GRUCell]


def test_an_instance_given_twice_shares_its_weights_as_in_nn_sequential() -> None:
    cell = BRCell(H, H, dtype=F64)
    randomize(cell)
    layer = Recurrent([cell, cell], H, H)
    input = torch.randn(T, N, H, dtype=F64)
    one = Recurrent(cell, H, H)
    assert_same(layer(input)[0], one(one(input)[0])[0])
    assert len(parameters(layer)) == len(parameters(cell))
    twins = Recurrent([BRCell, BRCell], H, H, dtype=F64)
    twins.load_state_dict(layer.state_dict(), strict=True)
    shared, apart = gradients(layer, layer(input)), gradients(twins, twins(input))
    for name in dict(cell.named_parameters()):
        total = apart[f"cells.0.{name}"] + apart[f"cells.1.{name}"]
        assert_same(shared[f"cells.0.{name}"], total)
    both = Recurrent([(cell, cell)], H, H, bidirectional=True)
    assert len(parameters(both)) == len(parameters(cell))


def test_layers_that_share_an_instance_share_its_copy() -> None:
    square = BRCell(2 * H, H)
    layer = Recurrent([square, square], 2 * H, H, bidirectional=True)
    forwards, backwards, upper, upper_backwards = layer.cells
    assert forwards is upper
    assert backwards is upper_backwards
    assert backwards is not forwards
    assert len(parameters(layer)) == 2 * len(parameters(square))
    assert all(t.isfinite().all() for t in tensors(layer(torch.randn(T, N, 2 * H))))
