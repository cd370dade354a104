"""Times one time step of one sequence with its state fed back, as in a control loop."""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from rich.progress import track
from torch import Tensor, nn

import torchrecurrent as tr

__all__ = ["BASE", "SHAPE", "Step", "measure"]

#: Time steps, batch size, width of the input, width of the state.
SHAPE = (1, 1, 64, 128)
BASE = "nn.LSTMCell"


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
    calls: dict[str, Callable[[], None]] = {
        BASE: _cell(nn.LSTMCell(width, hidden), x),
        "nn.LSTM, T = 1": _layer(nn.LSTM(width, hidden), sequence),
        "LSTM, T = 1": _layer(tr.LSTM(width, hidden), sequence),
        "LSTMCell": _cell(tr.LSTMCell(width, hidden), x),
        "BR, T = 1": _layer(tr.BR(width, hidden), sequence),
        "BRCell": _cell(tr.BRCell(width, hidden), x),
    }
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


def _fed_back(step: Callable[[Any], Any]) -> Callable[[], None]:
    state: Any = None

    def call() -> None:
        nonlocal state
        state = step(state)

    return call
