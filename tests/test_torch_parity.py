"""RNN, LSTM and GRU equal torch's own, with torch's weights, over all options."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from torchrecurrent import GRU, LSTM, RNN, GRUCell, LSTMCell, RecurrentLayer, RNNCell, detach_hidden

from .making import assert_same, gradients, input_for, randomize, tensors

I, H = 3, 5
# The issue of agreement is 1e-10; the order of summation differs by far less.
TOLERANCE = 1e-10

KINDS: list[tuple[type[nn.RNNBase], type[RecurrentLayer], dict[str, Any]]] = [
    (nn.RNN, RNN, {}),
    (nn.RNN, RNN, {"nonlinearity": "relu"}),
    (nn.GRU, GRU, {}),
    (nn.LSTM, LSTM, {}),
    (nn.LSTM, LSTM, {"proj_size": 2}),
]
GRID = list(itertools.product([1, 2, 3], [False, True], [False, True], [False, True]))
FORMS = ["padded", "unbatched", "packed", "packed unsorted"]


def pair(kind: tuple[Any, Any, dict[str, Any]], **options: Any) -> tuple[Any, Any]:
    theirs_class, ours_class, own = kind
    theirs = randomize(theirs_class(I, H, dtype=torch.float64, **own, **options))
    ours = ours_class(I, H, dtype=torch.float64, **own, **options)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def make_input(form: str, batch_first: bool) -> Tensor | PackedSequence:
    if form == "unbatched":
        return torch.randn(4, I, dtype=torch.float64)
    if form == "padded":
        shape = (2, 4, I) if batch_first else (4, 2, I)
        return torch.randn(*shape, dtype=torch.float64)
    lengths = (4, 2, 2, 1) if form == "packed" else (2, 4, 1, 3)
    sequences = [torch.randn(length, I, dtype=torch.float64) for length in lengths]
    return pack_sequence(sequences, enforce_sorted=form == "packed")


def hidden(theirs: nn.RNNBase, input: Tensor | PackedSequence) -> Any:
    """A random first state of the right shape."""
    with torch.no_grad():
        state = theirs(input)[1]
    draws = tuple(torch.randn_like(value) for value in tensors(state))
    return draws if isinstance(state, tuple) else draws[0]


def translated(theirs: nn.Module, ours: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """The gradients of both, in the same order."""
    grads = {name: p.grad for name, p in theirs.named_parameters()}
    ours_by_name = dict(ours.named_parameters())
    directions = 2 if getattr(theirs, "bidirectional", False) else 1
    first, second = [], []
    for name, grad in grads.items():
        base, _, rest = name.rpartition("_l")
        layer = int(rest.split("_")[0])
        index = layer * directions + rest.endswith("_reverse")
        assert grad is not None
        mine = ours_by_name[f"cells.{index}.{base}"].grad
        assert mine is not None
        first.append(grad)
        second.append(mine)
    return first, second


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("layers", "both", "bias", "batch_first"), GRID)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind[1].__name__ + str(kind[2] or ""))
def test_layer_equals_torch(
    kind: tuple[Any, Any, dict[str, Any]],
    layers: int,
    both: bool,
    bias: bool,
    batch_first: bool,
    form: str,
) -> None:
    theirs, ours = pair(
        kind, num_layers=layers, bidirectional=both, bias=bias, batch_first=batch_first
    )
    input = make_input(form, batch_first)
    for hx in (None, hidden(theirs, input)):
        expected, result = theirs(input, hx), ours(input, hx)
        assert_same(result, expected, TOLERANCE)
        assert [t.shape for t in tensors(result)] == [t.shape for t in tensors(expected)]
        gradients(theirs, *expected)
        gradients(ours, *result)
        assert_same(*translated(theirs, ours), TOLERANCE)
    if isinstance(input, PackedSequence):
        output = ours(input)[0]
        assert isinstance(output, PackedSequence)
        assert torch.equal(output.batch_sizes, input.batch_sizes)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind[1].__name__ + str(kind[2] or ""))
def test_input_gradient_and_an_empty_batch(kind: tuple[Any, Any, dict[str, Any]]) -> None:
    theirs, ours = pair(kind, bidirectional=True)
    inputs = [torch.randn(4, 2, I, dtype=torch.float64).requires_grad_()]
    inputs.append(inputs[0].detach().clone().requires_grad_())
    for layer, input in zip((theirs, ours), inputs, strict=True):
        layer(input)[0].square().sum().backward()
    assert_same([inputs[1].grad], [inputs[0].grad], TOLERANCE)
    empty = torch.zeros(4, 0, I, dtype=torch.float64)
    assert [t.shape for t in tensors(ours(empty))] == [t.shape for t in tensors(theirs(empty))]
    nothing = torch.zeros(0, 2, I, dtype=torch.float64)
    for layer in (theirs, ours):
        with pytest.raises(RuntimeError, match="Expected sequence length to be larger than 0"):
            layer(nothing)


@pytest.mark.parametrize(
    ("theirs_class", "ours_class"),
    [(nn.RNNCell, RNNCell), (nn.GRUCell, GRUCell), (nn.LSTMCell, LSTMCell)],
)
@pytest.mark.parametrize("bias", [True, False])
def test_cell_equals_torch(theirs_class: Any, ours_class: Any, bias: bool) -> None:
    theirs = randomize(theirs_class(I, H, bias, dtype=torch.float64))
    ours = ours_class(I, H, bias, dtype=torch.float64)
    ours.load_state_dict(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())
    for shape in ((), (4,)):
        input = input_for(ours, *shape)
        assert_same(ours(input), theirs(input), TOLERANCE)
        hx = detach_hidden(ours(input))
        assert_same(ours(input, hx), theirs(input, hx), TOLERANCE)
        assert_same(
            list(gradients(ours, ours(input, hx)).values()),
            list(gradients(theirs, theirs(input, hx)).values()),
            TOLERANCE,
        )


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind[1].__name__ + str(kind[2] or ""))
def test_initialised_as_torch(kind: tuple[Any, Any, dict[str, Any]]) -> None:
    """Every parameter lies within torch's bound, and comes near it."""
    theirs_class, ours_class, own = kind
    size = 100
    theirs, ours = theirs_class(size, size, **own), ours_class(size, size, **own)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())
    for parameter in ours.parameters():
        bound = size**-0.5
        assert 0.9 * bound < float(parameter.detach().abs().max()) <= bound


def test_dropout_between_layers_only() -> None:
    torch.manual_seed(0)
    layer = LSTM(I, H, 2, dropout=0.5)
    input = torch.randn(6, 4, I)
    assert not torch.equal(layer(input)[0], layer(input)[0])
    layer.eval()
    assert torch.equal(layer(input)[0], layer(input)[0])
    layer.train()
    layer.dropout = 1.0  # nothing of the first layer arrives
    silent = layer(input)[0]
    assert torch.equal(silent, layer(torch.randn(6, 4, I))[0])


def test_printed_as_torch() -> None:
    options: dict[str, Any] = {
        "num_layers": 2,
        "bias": False,
        "batch_first": True,
        "dropout": 0.1,
        "bidirectional": True,
    }
    assert repr(LSTM(I, H, proj_size=2, **options)) == repr(nn.LSTM(I, H, proj_size=2, **options))
    assert repr(GRU(I, H)) == repr(nn.GRU(I, H))
    cell = RNNCell(I, H, bias=False, nonlinearity="relu")
    assert repr(cell) == repr(nn.RNNCell(I, H, bias=False, nonlinearity="relu"))
