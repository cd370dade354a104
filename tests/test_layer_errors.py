"""Bad input to a layer: the error names the argument, what was given and what was expected."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence

from torchrecurrent import BR, GRU, LSTM, BRCell, LSTMCell, Recurrent

I, H, T, N = 3, 4, 5, 2
X = torch.zeros(T, N, I)


def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.zeros(*shape, dtype=dtype)


Case = tuple[Callable[[], Any], type[Exception], str]

CASES: dict[str, Case] = {
    "width": (lambda: BR(I, H)(zeros(T, N, 5)), RuntimeError, "Expected 3, got 5"),
    "rank": (
        lambda: BR(I, H)(zeros(1, T, N, I)),
        ValueError,
        "BR: Expected input to be 2D or 3D, got 4D instead",
    ),
    "layers in the state": (
        lambda: GRU(I, H, 2)(X, zeros(1, N, H)),
        RuntimeError,
        r"Expected hidden size \(2, 2, 4\), got \[1, 2, 4\]",
    ),
    "directions in the state": (
        lambda: LSTM(I, H, bidirectional=True)(X, (zeros(1, N, H), zeros(1, N, H))),
        RuntimeError,
        r"Expected hidden\[0\] size \(2, 2, 4\), got \[1, 2, 4\]",
    ),
    "batch of the state": (
        lambda: LSTM(I, H)(X, (zeros(1, N, H), zeros(1, 3, H))),
        RuntimeError,
        r"Expected hidden\[1\] size \(1, 2, 4\), got \[1, 3, 4\]",
    ),
    "width of the state": (
        lambda: GRU(I, H)(X, zeros(1, N, 5)),
        RuntimeError,
        r"Expected hidden size \(1, 2, 4\), got \[1, 2, 5\]",
    ),
    "unbatched state": (
        lambda: GRU(I, H)(X, zeros(1, H)),
        RuntimeError,
        "For batched 3-D input, hx should also be 3-D but got 2-D tensor",
    ),
    "batched state": (
        lambda: GRU(I, H)(X[:, 0], zeros(1, N, H)),
        RuntimeError,
        "For unbatched 2-D input, hx should also be 2-D but got 3-D tensor",
    ),
    "one state for two": (
        lambda: LSTM(I, H)(X, zeros(1, N, H)),
        TypeError,
        r"hx should be a tuple of 2 Tensors \(h, c\), got: Tensor",
    ),
    "two states for one": (
        lambda: BR(I, H)(X, (zeros(1, N, H), zeros(1, N, H))),
        TypeError,
        r"hx should be a Tensor \(h\), got: tuple of 2",
    ),
    "state dtype": (
        lambda: GRU(I, H)(X, zeros(1, N, H, dtype=torch.float64)),
        ValueError,
        "hx: RNN input dtype",
    ),
    "state for a mixed stack": (
        lambda: Recurrent([LSTMCell, BRCell], I, H)(X, zeros(2, N, H)),
        TypeError,
        "hx should be a list with the state of each of the 2 cells, got: Tensor",
    ),
    "dtype": (lambda: BR(I, H)(X.double()), ValueError, "input: RNN input dtype"),
    "device": (lambda: BR(I, H)(X.to("meta")), ValueError, "input: expected a tensor on cpu"),
    "no steps": (
        lambda: BR(I, H)(zeros(0, N, I)),
        RuntimeError,
        "Expected sequence length to be larger than 0 in RNN",
    ),
    "length too long": (
        lambda: BR(I, H)(X, lengths=[5, 6]),
        ValueError,
        "lengths: expected numbers from 0 to 5, the padded length, got 5 to 6",
    ),
    "length below zero": (lambda: BR(I, H)(X, lengths=[-1, 5]), ValueError, "got -1 to 5"),
    "lengths too few": (
        lambda: BR(I, H)(X, lengths=[5]),
        ValueError,
        r"lengths: expected one for each of the 2 sequences, got shape \(1,\)",
    ),
    "lengths of floats": (
        lambda: BR(I, H)(X, lengths=torch.tensor([5.0, 4.0])),
        TypeError,
        "lengths should hold integers, got: torch.float32",
    ),
    "lengths and packed": (
        lambda: BR(I, H)(pack_sequence([X[:, 0]]), lengths=[5]),
        ValueError,
        "lengths: a PackedSequence has its own",
    ),
    "lengths and unbatched": (
        lambda: BR(I, H)(X[:, 0], lengths=[5]),
        ValueError,
        "lengths: an unbatched input is all valid",
    ),
    "dropout": (
        lambda: BR(I, H, 2, dropout=1.5),
        ValueError,
        r"dropout should be a number in range \[0, 1\].*got 1.5",
    ),
    "num_layers": (
        lambda: BR(I, H, 0),
        ValueError,
        "num_layers must be greater than zero, got 0",
    ),
    "num_layers float": (
        lambda: BR(I, H, 1.0),  # type: ignore[arg-type]
        TypeError,
        "num_layers should be of type int, got: float",
    ),
    "batch_first": (
        lambda: BR(I, H, batch_first=1),  # type: ignore[arg-type]
        TypeError,
        "batch_first should be of type bool, got: int",
    ),
    "projection of a cell without": (
        lambda: GRU(I, H, proj_size=2),  # type: ignore[call-arg]
        ValueError,
        "proj_size argument is only supported for LSTM, not GRU",
    ),
    "negative projection": (lambda: LSTM(I, H, proj_size=-1), ValueError, "proj_size should be"),
    "option": (
        lambda: BR(I, H, forget_bias=1.0),  # type: ignore[call-arg]
        TypeError,
        r"BR\(\) got an unexpected keyword argument 'forget_bias'; BRCell takes input_size, ",
    ),
    "option of a factory": (
        lambda: Recurrent(nn.LSTMCell, I, H, recurrence="diagonal"),
        TypeError,
        "unexpected keyword argument 'recurrence'; LSTMCell takes input_size",
    ),
    "an instance for two layers": (
        lambda: Recurrent(BRCell(I, H), I, H, 2),
        TypeError,
        "cell: one instance of BRCell can't serve 2 layers",
    ),
    "an instance for two layers of two directions": (
        lambda: Recurrent(BRCell(I, H), I, H, 2, bidirectional=True),
        TypeError,
        "cell: one instance of BRCell can't serve 2 layers",
    ),
    "an option for an instance": (
        lambda: Recurrent(BRCell(I, H), I, H, bias=False),
        TypeError,
        "bias can't be set on an instance of BRCell",
    ),
    "an instance of another size": (
        lambda: Recurrent(BRCell(5, H), I, H),
        ValueError,
        "expected an instance with input_size=3, got BRCell with 5",
    ),
    "a list too short": (
        lambda: Recurrent([BRCell, BRCell], I, H, 3),
        ValueError,
        "expected a list with one entry for each of num_layers=3 layers, got 2",
    ),
    "no cell": (
        lambda: Recurrent(3, I, H),  # type: ignore[arg-type]
        TypeError,
        "cell should be a class of cells, the name of one, a factory or a module, got: int",
    ),
    "a factory of something else": (
        lambda: Recurrent(lambda i, h: 3, I, H),  # type: ignore[arg-type]
        TypeError,
        "should return a torch.nn.Module, got: int",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_layer_error(case: Case) -> None:
    call, kind, message = case
    with pytest.raises(kind, match=message):
        call()


def test_a_refused_call_changes_nothing() -> None:
    layer = LSTM(I, H, 2)
    before, rng = copy.deepcopy(layer.state_dict()), torch.get_rng_state()
    for hx in (zeros(2, N, H), (zeros(2, N, H), zeros(2, 3, H))):
        with pytest.raises((TypeError, RuntimeError)):
            layer(X, hx)
    assert torch.equal(torch.get_rng_state(), rng)
    assert all(torch.equal(before[name], value) for name, value in layer.state_dict().items())


def test_dropout_on_one_layer_warns_as_torch_does() -> None:
    with pytest.warns(UserWarning, match="dropout option adds dropout after all but last"):
        BR(I, H, dropout=0.5)


def test_autocast_takes_any_dtype() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        output, _ = LSTM(I, H)(X.bfloat16())
    assert output.isfinite().all()
