"""Times the first training step of a new process, with the kernel compiled or from the cache.

Each is measured in a separate process, after its imports. The step is tiny, and torch has
run one before, so the rest is the cost of the kernel before it runs for the first time.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.progress import track
from torch import nn

import torchrecurrent as tr

__all__ = ["FirstCall", "measure"]

CELLS = ("LSTM", "BR")


@dataclass(frozen=True)
class FirstCall:
    """Median seconds."""

    cell: str
    cold: float
    warm: float


def measure(repeats: int) -> list[FirstCall]:
    """Measure a cell whose kernel is new, and one that another process has compiled."""
    found = []
    for cell in CELLS:
        cold, warm = [], []
        for _ in track(range(repeats), description=f"{cell}, first call", transient=True):
            with tempfile.TemporaryDirectory() as folder:
                cold.append(_in_new_process(cell, folder))
                warm.append(_in_new_process(cell, folder))
        found.append(FirstCall(cell, statistics.median(cold), statistics.median(warm)))
    return found


def _in_new_process(cell: str, cache: str) -> float:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.first_call", cell],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "TORCHRECURRENT_CACHE_DIR": cache, "TORCHRECURRENT_BACKEND": "c"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(json.loads(done.stdout))


def _first_step(cell: str) -> float:
    x = torch.randn(4, 2, 64)
    nn.GRU(64, 128)(x)[0].sum().backward()  # starts torch's threads
    layer: nn.Module = getattr(tr, cell)(64, 128)
    start = time.perf_counter()
    layer(x)[0].sum().backward()
    return time.perf_counter() - start


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Print the seconds of a first training step.")
    parser.add_argument("cell", choices=CELLS)
    print(json.dumps(_first_step(parser.parse_args().cell)))
