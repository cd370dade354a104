"""Measures the peak memory of a training step, with the kernel and with the reference loop.

Each is measured in a separate process: the peak of resident memory during the step (Linux's VmHWM,
reset just before) minus the resident memory once weights and input exist and a tiny step has
loaded all that a step needs. ``ru_maxrss`` is not used: it begins at the parent's peak.

The reference loop's thousands of tensors leave holes in glibc's heap, whose size varies by half
between runs. So this is a median, and beside it is the memory of the tensors themselves, measured
with separate pages for each tensor, which are freed with it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from rich.progress import track
from torch import nn

import torchrecurrent as tr

__all__ = ["SHAPE", "Peak", "measure"]

CELLS = ("LSTM", "BR")
SHAPE = (1000, 64, 256, 512)
#: glibc maps larger blocks separately, and returns them to the system when they are freed.
PAGES_EACH = {"MALLOC_MMAP_THRESHOLD_": "65536"}


@dataclass(frozen=True)
class Peak:
    """Peak megabytes (10^6 bytes) of a training step; "live" is without holes."""

    cell: str
    ours: float
    loop: float
    live_ours: float
    live_loop: float

    @property
    def ratio(self) -> float:
        return self.ours / self.loop

    @property
    def live_ratio(self) -> float:
        return self.live_ours / self.live_loop


def measure(repeats: int) -> list[Peak]:
    """Measure the cells' kernels and reference loops; return nothing without /proc.

    Args:
        repeats: the number of measurements of which the median is taken.
    """
    if not Path("/proc/self/status").exists():
        return []
    return [
        Peak(
            cell,
            *(
                statistics.median(_in_new_process(cell, backend) for _ in range(repeats))
                for backend in ("c", "reference")
            ),
            *(_in_new_process(cell, backend, **PAGES_EACH) for backend in ("c", "reference")),
        )
        for cell in track(CELLS, description="peak memory", transient=True)
    ]


def _in_new_process(cell: str, backend: str, **environment: str) -> float:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", cell],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "TORCHRECURRENT_BACKEND": backend} | environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(json.loads(done.stdout))


def _resident(field: Literal["VmRSS", "VmHWM"]) -> float:
    text = Path("/proc/self/status").read_text(encoding="utf-8")
    match = re.search(rf"{field}:\s+(\d+) kB", text)
    assert match is not None
    return int(match[1]) * 1024 / 1e6


def _peak(cell: str) -> float:
    steps, batch, width, hidden = SHAPE
    layer: nn.Module = getattr(tr, cell)(width, hidden)
    x = torch.randn(steps, batch, width)
    layer(x[:2, :2])[0].sum().backward()
    layer.zero_grad(set_to_none=True)
    before = _resident("VmRSS")
    with suppress(OSError):  # where it is forbidden: the step's peak is far above an import's
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    layer(x)[0].sum().backward()
    return _resident("VmHWM") - before


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Print the megabytes of a training step.")
    parser.add_argument("cell", choices=CELLS)
    print(json.dumps(_peak(parser.parse_args().cell)))
