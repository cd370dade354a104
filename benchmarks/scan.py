"""Compares a parallel scan with the loop, for a cell that is linear in its state.

``python -m benchmarks.scan`` times the T-RNN, h' = f h + (1 - f) z, at N = 1: the fused kernel,
which takes one step after the other, and two scans in torch. The chunked one runs all chunks
side by side, step by step, and then passes the state from chunk to chunk; the doubling one
(Hillis and Steele) takes log T passes over everything.
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

from .timing import interleave, layer_row

LENGTHS = (256, 1024, 4096, 16384)


def coefficients(cell: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return a and b of h' = a h + b, ``(T, H)``, for all steps at once."""
    (projected,) = cell.project(x[:, 0])
    z, f = projected.chunk(2, -1)
    f = torch.sigmoid(f)
    return f, (1 - f) * z


def chunked(a: Tensor, b: Tensor) -> Tensor:
    """Return all states, computed in chunks of about the square root of T."""
    steps, width = a.shape
    length = 1 << max(1, (steps.bit_length() - 1) // 2)
    a, b = a.view(-1, length, width), b.view(-1, length, width)
    decays, states = [a[:, 0]], [b[:, 0]]
    for step in range(1, length):
        decays.append(decays[-1] * a[:, step])
        states.append(states[-1] * a[:, step] + b[:, step])
    decay, state = torch.stack(decays, 1), torch.stack(states, 1)
    carried = [torch.zeros(width)]
    for chunk in range(len(a) - 1):
        carried.append(decay[chunk, -1] * carried[-1] + state[chunk, -1])
    return (state + decay * torch.stack(carried).unsqueeze(1)).flatten(0, 1)


def doubling(a: Tensor, b: Tensor) -> Tensor:
    """Return all states, computed in log T passes."""
    reach = 1
    while reach < len(a):
        b = torch.cat([b[:reach], b[reach:] + a[reach:] * b[:-reach]])
        a = torch.cat([a[:reach], a[reach:] * a[:-reach]])
        reach *= 2
    return b


def run_by(cell: Any, scan: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def call(x: Tensor) -> Tensor:
        return scan(*coefficients(cell, x)).unsqueeze(1)

    return call


def main() -> None:
    parser = argparse.ArgumentParser(description="Time scans beside the fused loop.")
    parser.add_argument(
        "--repeats",
        type=int,
        default=15,
        help="number of runs of which the median is taken (%(default)s)",
    )
    parser.add_argument("--width", type=int, default=128, help="I and H (%(default)s)")
    options = parser.parse_args()
    view = Table("T", "way", "forward, ms", "train, ms", title=f"T-RNN, N = 1, H = {options.width}")
    for steps in LENGTHS:
        torch.manual_seed(0)
        x = torch.randn(steps, 1, options.width)
        layer = tr.TRNN(options.width, options.width)
        rows = [layer_row("kernel", "ours", layer, x)]
        for scan in (chunked, doubling):
            call = run_by(layer.cells[0], scan)
            torch.testing.assert_close(call(x), layer(x)[0], rtol=1e-4, atol=1e-4)
            rows.append(layer_row(scan.__name__, "ours", layer, x, run=call))
        for row in interleave(rows, options.repeats, f"T = {steps}")[0]:
            view.add_row(str(steps), row.name, f"{row.forward:.2f}", f"{row.train:.2f}")
    Console(width=80).print(view)


if __name__ == "__main__":
    main()
