"""Padding changes nothing, for any cell and any module, with all options of the layer."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from torchrecurrent import Recurrent, RecurrentLayer

from .making import assert_same, gradients, input_for, make, randomize, rebuilt, tensors

I, H = 3, 4
LENGTHS = [2, 5, 1, 4]


class Leaky(nn.Module):
    """A user's cell: one state, returned as it is."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(input_size, hidden_size, dtype=torch.float64)

    def forward(self, input: Tensor, state: Tensor | None) -> Tensor:
        new = torch.tanh(self.linear(input))
        return new if state is None else 0.5 * state + new


class Reader(nn.Module):
    """A user's cell with two states and an output of another width."""

    output_size = 2

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(input_size, hidden_size, dtype=torch.float64)
        self.read = nn.Linear(hidden_size, self.output_size, dtype=torch.float64)

    def init_hidden(self, batch_size: int) -> tuple[Tensor, Tensor]:
        zeros = torch.zeros(batch_size, self.cell.hidden_size, dtype=torch.float64)
        return zeros, zeros + 1

    def forward(
        self, input: Tensor, state: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        h, c = self.cell(input, state)
        return self.read(h), (h, c)


FOREIGN: list[Any] = [
    partial(nn.LSTMCell, dtype=torch.float64),
    partial(nn.GRUCell, dtype=torch.float64),
    partial(nn.RNNCell, dtype=torch.float64, nonlinearity="relu"),
    Leaky,
    Reader,
]
ALL_OPTIONS = [
    {"num_layers": layers, "bidirectional": both, "batch_first": first, "return_sequences": seq}
    for layers in (1, 2)
    for both in (False, True)
    for first in (False, True)
    for seq in (False, True)
]
#: A half of them in which every three options meet in all their values: enough for each of many
#: cells, where it is the layer's own code that reads them.
HALF = [options for options in ALL_OPTIONS if sum(map(int, options.values())) % 2]


def reference(layer: Any, input: Tensor, lengths: list[int], hx: Any = None) -> list[Tensor]:
    """Each sequence by itself: its outputs, and its last states."""
    rows = []
    for n, length in enumerate(lengths):
        alone = input[n, :length] if layer.batch_first else input[:length, n]
        state = None if hx is None else index(hx, n)
        rows.append(layer(alone, state))
    return rows


def index(hx: Any, n: int) -> Any:
    """The state of sequence n."""
    if isinstance(hx, Tensor):
        return hx.select(-2, n)
    return type(hx)(index(item, n) for item in hx)


@pytest.mark.parametrize("options", HALF, ids=str)
def test_padding_changes_nothing(
    layer_class: type[RecurrentLayer], options: dict[str, Any]
) -> None:
    try:
        layer = make(layer_class, **options)
    except ValueError:  # the second layer of a cell as wide as its input would be twice as wide
        assert options["num_layers"] == 2
        assert options["bidirectional"]
        with pytest.raises(ValueError, match="input_size == hidden_size is needed"):
            make(layer_class, **options)
        return
    check_padding(layer)


@pytest.mark.parametrize("options", ALL_OPTIONS, ids=str)
@pytest.mark.parametrize("cell", FOREIGN, ids=str)
def test_padding_changes_nothing_for_foreign_cells(cell: Any, options: dict[str, Any]) -> None:
    check_padding(randomize(Recurrent(cell, I, H, **options)))


def check_padding(layer: Any) -> None:
    shape = (4, 5) if layer.batch_first else (5, 4)
    input = input_for(layer, *shape)
    alone = reference(layer, input, LENGTHS)
    # Whatever stands in the padding must not come through, not even a NaN's gradient.
    padded = (input if layer.batch_first else input.transpose(0, 1)).clone()
    for n, length in enumerate(LENGTHS):
        padded[n, length:] = torch.nan
    padded = padded if layer.batch_first else padded.transpose(0, 1)
    padded.requires_grad_()
    output, h_n = layer(padded, lengths=LENGTHS)
    packed = pack_padded_sequence(
        padded, torch.tensor(LENGTHS), layer.batch_first, enforce_sorted=False
    )
    packed_output, packed_h_n = layer(packed)
    assert_same(packed_h_n, h_n)
    if layer.return_sequences:
        assert isinstance(packed_output, PackedSequence)
        unpacked = pad_packed_sequence(packed_output, layer.batch_first)[0]
        assert_same(unpacked, output)
    else:
        assert_same(packed_output, output)
    for n, (expected, state) in enumerate(alone):
        assert_same(index(h_n, n), state)
        if not layer.return_sequences:
            assert_same(output[n], expected)
            continue
        row = output[n] if layer.batch_first else output[:, n]
        assert_same(row[: LENGTHS[n]], expected)
        assert not row[LENGTHS[n] :].any()
    assert all(g.isfinite().all() for g in gradients(layer, output, h_n).values())
    assert padded.grad is not None
    assert padded.grad.isfinite().all()


@pytest.mark.parametrize("lengths", [[2, 0, 5, 0], [0, 0, 0, 0]], ids=str)
def test_a_sequence_without_steps_keeps_its_state(
    layer_class: type[RecurrentLayer], lengths: list[int]
) -> None:
    """Its output is zero, its last state is its first, and so is the gradient."""
    layer = make(layer_class, bidirectional=True)
    input = input_for(layer, 5, 4)
    like = layer(input)[1]
    first = [torch.rand_like(each) + 0.1 for each in tensors(like)]
    leaves = [each.requires_grad_() for each in (input, *first)]
    output, last = layer(leaves[0], rebuilt(like, iter(leaves[1:])), lengths=lengths)
    present = torch.tensor([n for n, length in enumerate(lengths) if length], dtype=torch.int64)
    absent = torch.tensor([n for n, length in enumerate(lengths) if not length])

    def of(rows: Tensor, values: Any) -> list[Tensor]:
        """Some sequences of tensors ``(*, N, width)``."""
        return [each.index_select(-2, rows) for each in tensors(values)]

    assert not output[:, absent].any()
    assert_same(of(absent, last), of(absent, first), 0)
    found = torch.autograd.grad(
        torch.stack([each.sin().sum() for each in tensors((output, last))]).sum(),
        leaves,
        materialize_grads=True,
    )
    assert not found[0][:, absent].any()
    assert_same(of(absent, found[1:]), [each.cos() for each in of(absent, first)], 0)
    if len(present):
        rest = rebuilt(like, iter(of(present, leaves[1:])))
        kept = [length for length in lengths if length]
        some = layer(leaves[0][:, present], rest, lengths=kept)
        assert_same(of(present, (output, last)), list(tensors(some)))
        expected = torch.autograd.grad(
            torch.stack([each.sin().sum() for each in tensors(some)]).sum(),
            leaves,
            materialize_grads=True,
        )
        assert_same(of(present, found), of(present, expected))


def test_a_sequence_without_steps_in_a_stack_of_any_cells() -> None:
    layer = randomize(Recurrent([nn.LSTMCell, nn.LSTMCell], 3, 4, return_sequences=False)).double()
    output, (h, _) = layer(torch.randn(5, 2, 3, dtype=torch.float64), lengths=[3, 0])
    assert not output[1].any()
    assert not h[:, 1].any()
    unknown = Recurrent(Leaky, 3, 4)
    with pytest.raises(ValueError, match="Leaky doesn't tell the state of a sequence without"):
        unknown(torch.randn(5, 2, 3, dtype=torch.float64), lengths=[3, 0])
