"""Additions of the layer to torch's: any cell, mixed stacks, lengths, only the last output."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from torchrecurrent import (
    BR,
    LSTM,
    BRCell,
    GRUCell,
    LSTMCell,
    Recurrent,
    RecurrentLayer,
    RNNCell,
    detach_hidden,
)
from torchrecurrent.roles import AcrossRole

from .making import assert_same, gradients, input_for, make, randomize, tensors

I, H = 3, 4
LENGTHS = [2, 5, 1, 4]


def test_one_step_at_a_time_is_the_cell(layer_class: type[RecurrentLayer]) -> None:
    layer = make(layer_class)
    (cell,) = layer.cells
    input = input_for(layer, 5, 3)
    output, h_n = layer(input)
    hx, outputs = None, []
    for x in input:
        result = cell(x, hx)
        out, hx = result if cell.signature.has_output else (next(tensors(result)), result)
        outputs.append(out)
    assert_same(torch.stack(outputs), output)
    assert_same(hx, [state[0] if state.dim() == 3 else state for state in tensors(h_n)])


def test_permuted_units_permute_the_output(cell_class: Any) -> None:
    cell = cell_class(4, 4, dtype=torch.float64)
    randomize(cell)
    input, order = torch.randn(3, 4, dtype=torch.float64), torch.tensor([2, 0, 3, 1])
    inverse = torch.argsort(order)

    def units(value: Any, axis: int, places: Any = order) -> Any:
        """In another order, if there are as many along this axis as the state has units.

        As many as pairs of them are a matrix, row by row.
        """
        if value.size(axis) == 16:
            square = value.unflatten(axis, (4, 4)).index_select(axis, places)
            return square.index_select(axis + 1, places).flatten(axis, axis + 1)
        return value.index_select(axis, places) if value.size(axis) == 4 else value

    result = list(tensors(cell(input)))
    twin = cell_class(4, 4, dtype=torch.float64)
    twin.load_state_dict(cell.state_dict())  # a learned number is no unit's
    with torch.no_grad():
        for weight, blocks in cell.layout.stacks.items():
            for block in blocks:
                rows = units(cell.block(weight.name, block.name), 0)
                reads_state = rows.dim() == 2 and weight.name != "weight_ih"
                # A cell that reads its input unprojected needs that permuted as well.
                if reads_state or raw(cell):
                    rows = units(rows, 1) if rows.dim() == 2 else rows
                twin.block(weight.name, block.name).copy_(rows)
            if weight.bias in cell.state_dict():
                for block in cell.layout.bias_blocks(weight):
                    rows = units(cell.block(weight.bias, block.name), 0)
                    twin.block(weight.bias, block.name).copy_(rows)
    permuted = list(tensors(twin(input[:, order] if raw(cell) else input)))
    if any(each.role.operation == "cumulative" for each in cell.signature.having(AcrossRole)):
        assert not torch.allclose(permuted[0][:, inverse], result[0])  # its units have an order
        return
    for one, other in zip(permuted, result, strict=True):
        assert_same(units(one, 1, inverse), other)


def raw(cell: Any) -> bool:
    roles = {type(argument.role).__name__ for argument in cell.signature.arguments}
    if any(each.role.operation == "rest" for each in cell.signature.having(AcrossRole)):
        return False  # its input's values have a meaning each
    return "InputRole" in roles or bool(cell.layout.identities)


def test_mixed_stack_of_different_cells() -> None:
    stack = Recurrent(
        [LSTMCell, BRCell, partial(nn.GRUCell, dtype=torch.float64)], I, H, dtype=torch.float64
    )
    input = torch.randn(5, 2, I, dtype=torch.float64)
    output, h_n = stack(input)
    assert isinstance(h_n, list)
    x = input
    states = []
    for cell in stack.cells:
        x, state = Recurrent(cell, x.size(-1), H)(x)
        states.append(state)
    assert_same(output, x)
    assert_same(h_n, [t.squeeze(0) for t in tensors(states)])
    first, middle = stack(input[:2])
    second, last = stack(input[2:], middle)
    assert_same(torch.cat([first, second]), output)
    assert_same(last, h_n)


def test_mixed_stack_of_like_states_is_stacked() -> None:
    stack = Recurrent([BRCell, GRUCell, RNNCell], I, H)
    assert stack(torch.zeros(5, 2, I))[1].shape == (3, 2, H)
    both = Recurrent([LSTMCell(I, H), LSTMCell(H, 2 * H)], I, H)
    output, (h, c) = both(torch.zeros(5, 2, I))
    assert output.shape == (5, 2, 2 * H)
    for state in (h, c):
        assert [tuple(row.shape) for row in state] == [(2, H), (2, 2 * H)]
    again, _ = both(torch.zeros(1, 2, I), (h, c))
    assert again.shape == (1, 2, 2 * H)


def test_a_pair_of_instances_for_two_directions() -> None:
    pair = (LSTMCell(I, H), LSTMCell(I, H))
    layer = Recurrent([pair], I, H, bidirectional=True)
    assert tuple(layer.cells) == pair
    assert layer(torch.zeros(5, 2, I))[0].shape == (5, 2, 2 * H)


def test_an_instance_is_used_as_it_is() -> None:
    cell = BRCell(I, H)
    layer = Recurrent(cell, I, H)
    assert layer.cells[0] is cell
    assert_same(layer(torch.ones(2, I))[0][0], cell(torch.ones(I)), 1e-6)


def test_init_hidden_and_detach() -> None:
    layer = LSTM(I, H, 2, bidirectional=True)
    h, c = layer.init_hidden(batch_size=5)
    assert h.shape == c.shape == (4, 5, H)
    assert [t.shape for t in layer.init_hidden()] == [(4, H), (4, H)]
    input = torch.randn(3, 5, I)
    assert_same(layer(input, (h, c)), layer(input), 0)
    state = layer(input)[1]
    assert all(t.requires_grad for t in tensors(state))
    cut = detach_hidden(state)
    assert not any(t.requires_grad for t in tensors(cut))
    assert isinstance(cut, tuple)
    assert_same(cut, [t.detach() for t in state], 0)
    nested = detach_hidden([h, (c, [h])])
    assert isinstance(nested, list)
    assert isinstance(nested[1], tuple)
    with pytest.raises(TypeError, match="state should be a Tensor"):
        detach_hidden({"h": h})


def test_a_layer_without_sequences_returns_the_last_of_each_direction() -> None:
    layer = BR(I, H, bidirectional=True, return_sequences=False)
    twin = BR(I, H, bidirectional=True)
    twin.load_state_dict(layer.state_dict())
    input = torch.randn(5, 2, I)
    last, (output, _) = layer(input)[0], twin(input)
    assert_same(last, torch.cat([output[-1, :, :H], output[0, :, H:]], -1), 0)


def test_flatten_and_reset() -> None:
    layer = LSTM(I, H, 2)
    assert layer.flatten_parameters() is None  # type: ignore[func-returns-value]
    before = [p.detach().clone() for p in layer.parameters()]
    layer.reset_parameters()
    pairs = zip(before, layer.parameters(), strict=True)
    assert all(not torch.equal(old, new) for old, new in pairs)
    generic = Recurrent([nn.GRUCell], I, H)
    assert "GRUCell(3, 4)" in repr(generic)
    assert repr(BR(I, H, recurrence="dense")) == f"BR({I}, {H}, recurrence=dense)"


def test_a_parametrization_may_stand_in_for_a_parameter() -> None:
    cell = RNNCell(I, H, dtype=torch.float64)
    nn.utils.parametrizations.orthogonal(cell, "weight_hh")
    layer = Recurrent(cell, I, H)
    twin = Recurrent(RNNCell, I, H, dtype=torch.float64)
    with torch.no_grad():
        for name, value in cell.effective_parameters().items():
            assert value is not None
            twin.cells[0].get_parameter(name).copy_(value)
    input = torch.randn(5, 2, I, dtype=torch.float64)
    assert_same(layer(input), twin(input))
    layer(input)[0].sum().backward()
    assert all(parameter.grad is not None for parameter in cell.parameters())


def test_a_layer_compiles_whole() -> None:
    torch.compiler.reset()
    layer = LSTM(I, H, 2, bidirectional=True, dtype=torch.float64)
    input = torch.randn(5, 2, I, dtype=torch.float64)
    compiled: Any = torch.compile(layer, fullgraph=True, backend="aot_eager")
    assert_same(compiled(input), layer(input))
    assert_same(
        list(gradients(layer, *compiled(input)).values()),
        list(gradients(layer, *layer(input)).values()),
    )
