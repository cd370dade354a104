"""Times one time step of one sequence with its state fed back, as in a control loop."""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from rich.progress import track
from torch import Tensor, nn

import torchrecurrent as tr

__all__ = ["BESIDE", "SHAPE", "Step", "measure"]

#: Time steps, batch size, width of the input, width of the state.
SHAPE = (1, 1, 64, 128)
#: What each row is compared with.
BESIDE = {
    "LSTMCell": "nn.LSTMCell",
    "BRCell": "nn.LSTMCell",
    "GRUCell": "nn.GRUCell",
    "LSTM, T = 1": "nn.LSTM, T = 1",
    "LSTM.step": "nn.LSTM, T = 1",
    "BR, T = 1": "nn.LSTM, T = 1",
    "BR.step": "nn.LSTM, T = 1",
    "GRU, T = 1": "nn.GRU, T = 1",
    "GRU.step": "nn.GRU, T = 1",
}


@dataclass(frozen=True)
class Step:
    """Median microseconds of a call."""

    name: str
    microseconds: float


def measure(repeats: int) -> list[Step]:
    """Measure layers at T = 1 and single cells, interleaved, without gradients."""
    _, batch, width, hidden = SHAPE
    x = torch.randn(batch, width)
    sequence = x.unsqueeze(0)
    layers = {"LSTM": tr.LSTM, "GRU": tr.GRU, "BR": tr.BR}
    calls: dict[str, Callable[[], None]] = {
        "nn.LSTMCell": _cell(nn.LSTMCell(width, hidden), x),
        "nn.GRUCell": _cell(nn.GRUCell(width, hidden), x),
        "nn.LSTM, T = 1": _layer(nn.LSTM(width, hidden), sequence),
        "nn.GRU, T = 1": _layer(nn.GRU(width, hidden), sequence),
        "LSTMCell": _cell(tr.LSTMCell(width, hidden), x),
        "BRCell": _cell(tr.BRCell(width, hidden), x),
        "GRUCell": _cell(tr.GRUCell(width, hidden), x),
    }
    for name, kind in layers.items():
        layer = kind(width, hidden)
        calls[f"{name}, T = 1"] = _layer(layer, sequence)
        calls[f"{name}.step"] = _fed_back(partial(_step, layer, x))
    times: dict[str, list[int]] = {name: [] for name in calls}
    order = random.Random(0)
    names = list(calls)
    gc.collect()
    gc.disable()
    try:
        with torch.no_grad():
            for turn in track(range(repeats + 20), description="streaming", transient=True):
                order.shuffle(names)
                for name in names:
                    start = time.perf_counter_ns()
                    calls[name]()
                    if turn >= 20:  # the first ones compile
                        times[name].append(time.perf_counter_ns() - start)
    finally:
        gc.enable()
    return [Step(name, statistics.median(values) / 1000) for name, values in times.items()]


def _cell(cell: nn.Module, x: Tensor) -> Callable[[], None]:
    return _fed_back(lambda state: cell(x, state))


def _layer(layer: nn.Module, sequence: Tensor) -> Callable[[], None]:
    return _fed_back(lambda state: layer(sequence, state)[1])


def _step(layer: tr.RecurrentLayer, x: Tensor, state: Any) -> Any:
    return layer.step(x, state)[1]


def _fed_back(step: Callable[[Any], Any]) -> Callable[[], None]:
    state: Any = None

    def call() -> None:
        nonlocal state
        state = step(state)

    return call
