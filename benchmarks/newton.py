"""Compares Newton's method over all steps with the loop and with the kernel, on one thread.

``python -m benchmarks.newton`` times a few elementwise cells over 1000 steps. The method is made
for devices with many lanes: on a CPU it shows what the iterations cost, beside a loop that has to
start each operation anew at each step.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

import torchrecurrent as tr
from torchrecurrent.engine import Backend

from .timing import interleave, layer_row

LAYERS: dict[str, Callable[[int], Any]] = {
    "TRNN": lambda width: tr.TRNN(width, width),
    "ParaGRU": lambda width: tr.ParaGRU(width, width),
    "LSTM, diagonal": lambda width: tr.LSTM(width, width, recurrence="diagonal"),
    "BR": lambda width: tr.BR(width, width),
}
PATHS: tuple[Backend, ...] = ("newton", "reference", "c")


def run_by(layer: Any, path: Backend) -> Callable[[Tensor], Tensor]:
    def call(x: Tensor) -> Tensor:
        with tr.backend(path):
            result: Tensor = layer(x)[0]
        return result

    return call


def main() -> None:
    parser = argparse.ArgumentParser(description="Time Newton's method over all steps.")
    parser.add_argument(
        "--repeats",
        type=int,
        default=9,
        help="number of runs of which the median is taken (%(default)s)",
    )
    parser.add_argument("--steps", type=int, default=1000, help="T (%(default)s)")
    parser.add_argument("--width", type=int, default=64, help="I and H (%(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    title = f"T = {options.steps}, I = H = {options.width}, one thread"
    view = Table("cell", "N", "path", "forward, ms", "train, ms", title=title)
    for name, make in LAYERS.items():
        for batch in (1, 16):
            torch.manual_seed(0)
            x, layer = torch.randn(options.steps, batch, options.width), make(options.width)
            rows = [layer_row(path, "ours", layer, x, run=run_by(layer, path)) for path in PATHS]
            for row in interleave(rows, options.repeats, f"{name}, N = {batch}")[0]:
                times = (f"{row.forward:.1f}", f"{row.train:.1f}")
                view.add_row(name, str(batch), row.name, *times)
    Console(width=80).print(view)


if __name__ == "__main__":
    main()
