"""Bad input to a cell: the error names the argument, what was given and what was expected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from torchrecurrent import (
    BRCell,
    GRUCell,
    IntersectionRNNCell,
    LSTMCell,
    MGUCell,
    RNNCell,
    TGRUCell,
    coRNNCell,
    sLSTMCell,
    tauGRUCell,
)

I, H, N = 3, 4, 2


def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.zeros(*shape, dtype=dtype)


Case = tuple[Callable[[], Any], type[Exception], str]

CASES: dict[str, Case] = {
    "width": (
        lambda: BRCell(I, H)(zeros(N, 5)),
        RuntimeError,
        r"input.size\(-1\) must be equal to input_size. Expected 3, got 5",
    ),
    "rank": (
        lambda: BRCell(I, H)(zeros(1, N, I)),
        ValueError,
        "BRCell: Expected input to be 1D or 2D, got 3D instead",
    ),
    "dtype": (
        lambda: BRCell(I, H)(zeros(N, I, dtype=torch.float64)),
        ValueError,
        r"input: RNN input dtype \(torch.float64\) does not match weight dtype \(torch.float32\)",
    ),
    "device": (
        lambda: BRCell(I, H, device="meta")(zeros(N, I)),
        ValueError,
        "input: expected a tensor on meta, where the weights are, got one on cpu",
    ),
    "state rank": (
        lambda: BRCell(I, H)(zeros(N, I), zeros(H)),
        ValueError,
        "hx: Expected hidden to be 2D, as the input is, got 1D instead",
    ),
    "state width": (
        lambda: GRUCell(I, H)(zeros(N, I), zeros(N, 5)),
        RuntimeError,
        "hx: hidden has inconsistent hidden_size: got 5, expected 4",
    ),
    "state batch": (
        lambda: GRUCell(I, H)(zeros(N, I), zeros(3, H)),
        RuntimeError,
        "hx: Input batch size 2 doesn't match hidden batch size 3",
    ),
    "second state's width": (
        lambda: LSTMCell(I, H)(zeros(N, I), (zeros(N, H), zeros(N, 5))),
        RuntimeError,
        r"hx \(c\): hidden has inconsistent hidden_size: got 5, expected 4",
    ),
    "state dtype": (
        lambda: GRUCell(I, H)(zeros(N, I), zeros(N, H, dtype=torch.float64)),
        ValueError,
        r"hx: RNN input dtype \(torch.float64\)",
    ),
    "one state for two": (
        lambda: LSTMCell(I, H)(zeros(N, I), zeros(N, H)),
        TypeError,
        r"hx should be a tuple of 2 Tensors \(h, c\), got: Tensor",
    ),
    "two states for one": (
        lambda: GRUCell(I, H)(zeros(N, I), (zeros(N, H), zeros(N, H))),
        TypeError,
        r"hx should be a Tensor \(h\), got: tuple of 2: Tensor, Tensor",
    ),
    "size zero": (lambda: BRCell(0, H), ValueError, "input_size must be greater than zero, got 0"),
    "size negative": (lambda: BRCell(I, -1), ValueError, "hidden_size must not be negative"),
    "size float": (
        lambda: BRCell(I, 4.0),  # type: ignore[arg-type]
        TypeError,
        "hidden_size should be of type int, got: float",
    ),
    "size bool": (
        lambda: BRCell(True, H),
        TypeError,
        "input_size should be of type int, got: bool",
    ),
    "size missing": (
        lambda: BRCell(I),  # type: ignore[call-arg]
        TypeError,
        r"BRCell\(\): missing a required argument: 'hidden_size'",
    ),
    "bias": (
        lambda: BRCell(I, H, 1),  # type: ignore[arg-type]
        TypeError,
        "bias should be of type bool, got: int",
    ),
    "initialiser": (
        lambda: BRCell(I, H, kernel_init="xavir"),
        ValueError,
        "kernel_init: unknown initializer 'xavir'; expected a callable or one of.*xavier_uniform",
    ),
    "initialiser's type": (
        lambda: BRCell(I, H, bias_init=0.0),  # type: ignore[arg-type]
        TypeError,
        "bias_init should be an initializer's name or a callable, got: float",
    ),
    "activation": (
        lambda: MGUCell(I, H, gate_nonlinearity="sigmod"),
        ValueError,
        "gate_nonlinearity: unknown activation 'sigmod'; expected a callable or one of.*sigmoid",
    ),
    "activation's type": (
        lambda: RNNCell(I, H, nonlinearity=None),  # type: ignore[arg-type]
        TypeError,
        "nonlinearity should be an activation's name or a callable, got: NoneType",
    ),
    "constant": (
        lambda: coRNNCell(I, H, dt="0.1"),  # type: ignore[arg-type]
        TypeError,
        "dt should be of type float, got: str",
    ),
    "constant not finite": (
        lambda: coRNNCell(I, H, gamma=float("nan")),
        ValueError,
        "gamma must be a finite number, got nan",
    ),
    "option": (
        lambda: BRCell(I, H, dt=0.1),  # type: ignore[call-arg]
        TypeError,
        r"BRCell\(\) got an unexpected keyword argument 'dt'; expected one of input_size, ",
    ),
    "recurrence": (
        lambda: BRCell(I, H, recurrence="full"),  # type: ignore[arg-type]
        ValueError,
        r"recurrence should be one of \('dense', 'diagonal'\), got 'full'",
    ),
    "diagonal of a rectangle": (
        lambda: TGRUCell(I, H, recurrence="diagonal"),
        ValueError,
        "TGRUCell joins a state of width 3 to 4 units",
    ),
    "heads": (
        lambda: sLSTMCell(I, H, num_heads=3),
        ValueError,
        "num_heads=3 should divide the widths of the recurrent weight, got 4 x 4",
    ),
    "delay": (lambda: tauGRUCell(I, H, delay=0), ValueError, "delay must be greater than zero"),
    "sizes that differ": (
        lambda: IntersectionRNNCell(I, H),
        ValueError,
        "input_size == hidden_size is needed.*got input_size=3, hidden_size=4",
    ),
    "dtype of integers": (
        lambda: BRCell(I, H, dtype=torch.int64),
        TypeError,
        "dtype should be a floating point dtype, got torch.int64",
    ),
    "projection": (
        lambda: LSTMCell(I, H, proj_size=4),
        ValueError,
        "proj_size has to be smaller than hidden_size, got proj_size=4, hidden_size=4",
    ),
    "block": (
        lambda: LSTMCell(I, H).block("weight_ih", "z"),
        KeyError,
        "LSTMCell has no block 'z' in 'weight_ih'",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_cell_error(case: Case) -> None:
    call, kind, message = case
    with pytest.raises(kind, match=message):
        call()
