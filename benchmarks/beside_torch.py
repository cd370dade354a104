"""Times LSTM, GRU and RNN beside torch's in further cases.

These are small and large layers, stacks, one thread, and a machine that is busy otherwise.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

import torchrecurrent as tr

from .timing import interleave, layer_row

__all__ = ["CASES", "Beside", "Case", "measure"]

#: Time steps, batch size, width of the input, width of the state.
Shape = tuple[int, int, int, int]
TORCH = {"LSTM": nn.LSTM, "GRU": nn.GRU, "RNN": nn.RNN}
OURS = {"LSTM": tr.LSTM, "GRU": tr.GRU, "RNN": tr.RNN}


@dataclass(frozen=True)
class Case:
    """What is timed: a shape, and what is special about it."""

    shape: Shape
    stack: bool = False
    threads: int = 0
    load: bool = False

    @property
    def title(self) -> str:
        special = [
            *(["2 layers, 2 directions"] if self.stack else []),
            *([f"threads: {self.threads}"] if self.threads else []),
            *(["every core is busy"] if self.load else []),
        ]
        return ", ".join((*map(str, self.shape), *special))


CASES = (
    Case((50, 1, 16, 32)),
    Case((50, 16, 16, 32)),
    Case((200, 1, 256, 512)),
    Case((200, 8, 256, 256)),
    Case((64, 32, 512, 1024)),
    Case((100, 32, 64, 128), stack=True),
    Case((128, 64, 256, 512), threads=1),
    Case((100, 32, 64, 128), load=True),
)


@dataclass(frozen=True)
class Beside:
    """Milliseconds of one layer and of torch's; a training step is forward and backward."""

    case: str
    cell: str
    forward: float
    torch_forward: float
    train: float
    torch_train: float


def measure(repeats: int) -> list[Beside]:
    """Measure all cases."""
    return [row for case in CASES for row in _measure(case, repeats)]


def _measure(case: Case, repeats: int) -> list[Beside]:
    steps, batch, width, hidden = case.shape
    options = {"num_layers": 2, "bidirectional": True} if case.stack else {}
    torch.manual_seed(0)
    x = torch.randn(steps, batch, width)
    rows = []
    for cell in TORCH:
        rows.append(layer_row(f"nn.{cell}", "torch", TORCH[cell](width, hidden, **options), x))
        rows.append(layer_row(cell, "ours", OURS[cell](width, hidden, **options), x))
    with _threads(case.threads), _busy(torch.get_num_threads() if case.load else 0):
        timed, failed = interleave(rows, repeats, case.title)
    if failed:
        raise RuntimeError(f"{case.title}: {failed}")
    found = {row.name: row for row in timed}
    made = []
    for cell in TORCH:
        ours, theirs = found[cell], found[f"nn.{cell}"]
        assert ours.forward
        assert theirs.forward
        assert ours.train
        assert theirs.train
        made.append(
            Beside(case.title, cell, ours.forward, theirs.forward, ours.train, theirs.train)
        )
    return made


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _busy(count: int) -> Iterator[None]:
    """Keep that many cores busy."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for each in loops:
            each.kill()
            each.wait()
