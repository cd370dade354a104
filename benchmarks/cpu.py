"""Times layers on the CPU beside torch's: ``make bench``.

Everything is timed in one process, interleaved, and the median is shown. The floor is the
recurrent and input products of an LSTM alone, at the speed of a plain loop over ``torch.mm``
(forward), and three times that for training.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor, nn

import torchrecurrent as tr
from torchrecurrent import backend

SHAPES = [(100, 32, 64, 128), (300, 100, 2, 100), (128, 64, 256, 512), (1000, 1, 64, 128)]
LAYERS: dict[str, Callable[[int, int], nn.Module]] = {
    "nn.LSTM": nn.LSTM,
    "nn.GRU": nn.GRU,
    "BR": tr.BR,
    "IndRNN": tr.IndRNN,
    "LSTM, diagonal": lambda width, hidden: tr.LSTM(width, hidden, recurrence="diagonal"),
    "LSTM": tr.LSTM,
    "GRU": tr.GRU,
    "nBR": tr.nBR,
    "MGU": tr.MGU,
    "URLSTM": tr.URLSTM,
    "PeepholeLSTM": tr.PeepholeLSTM,
    "LEM": tr.LEM,
    "coRNN": tr.coRNN,
}
#: Also timed without a kernel, to show what the kernel brings.
LOOPS = ("BR", "LSTM")


def seconds(call: Callable[[], None]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def forward(layer: nn.Module, x: Tensor) -> None:
    with torch.no_grad():
        layer(x)


def train(layer: nn.Module, x: Tensor) -> None:
    layer(x)[0].sum().backward()


def looped(call: Callable[[nn.Module, Tensor], None], layer: nn.Module, x: Tensor) -> None:
    with backend("reference"):
        call(layer, x)


def products(x: Tensor, hidden: int) -> Callable[[], None]:
    """The matrix products of an LSTM's forward pass, and nothing else."""
    steps, batch, width = x.shape
    w_ih, w_hh = torch.randn(width, 4 * hidden), torch.randn(hidden, 4 * hidden)
    h, out = torch.randn(batch, hidden), torch.empty(batch, 4 * hidden)

    def call() -> None:
        torch.mm(x.flatten(0, 1), w_ih)
        for _ in range(steps):
            torch.mm(h, w_hh, out=out)

    return call


def measure(shape: Sequence[int], repeats: int) -> dict[str, dict[str, float]]:
    """Median milliseconds by row and by ``"forward"`` or ``"train"``."""
    steps, batch, width, hidden = shape
    x = torch.randn(steps, batch, width)
    layers = {name: make(width, hidden) for name, make in LAYERS.items()}
    calls: dict[tuple[str, str], Callable[[], None]] = {}
    for name, layer in layers.items():
        calls[name, "forward"] = lambda layer=layer: forward(layer, x)  # type: ignore[misc]
        calls[name, "train"] = lambda layer=layer: train(layer, x)  # type: ignore[misc]
        if name in LOOPS:
            row = f"{name}, plain loop"
            calls[row, "forward"] = lambda layer=layer: looped(forward, layer, x)  # type: ignore[misc]
            calls[row, "train"] = lambda layer=layer: looped(train, layer, x)  # type: ignore[misc]
    calls["products alone", "forward"] = products(x, hidden)
    times: dict[tuple[str, str], list[float]] = {key: [] for key in calls}
    for call in calls.values():
        call()  # compiles, and touches the memory
    for _ in track(range(repeats), description=str(tuple(shape)), transient=True):
        for key, call in calls.items():
            times[key].append(1000 * seconds(call))
    found: dict[str, dict[str, float]] = {}
    for (name, kind), values in times.items():
        found.setdefault(name, {})[kind] = statistics.median(values)
    return found


def table(shape: Sequence[int], found: dict[str, dict[str, float]]) -> Table:
    view = Table(title="T, N, I, H = " + ", ".join(map(str, shape)), width=78)
    view.add_column("layer")
    for kind in ("forward", "train"):
        view.add_column(f"{kind}, ms", justify="right")
        view.add_column("/ nn.LSTM", justify="right")
    for name, row in found.items():
        cells = [name]
        for kind in ("forward", "train"):
            value = row.get(kind)
            base = found["nn.LSTM"][kind]
            cells += ["", ""] if value is None else [f"{value:.2f}", f"{value / base:.2f}"]
        view.add_row(*cells)
    return view


def main() -> None:
    parser = argparse.ArgumentParser(description="Time layers on the CPU.")
    parser.add_argument("--repeats", type=int, default=15, help="median of so many (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("build/bench.json"), help="%(default)s")
    options = parser.parse_args()
    console = Console()
    results = []
    for shape in SHAPES:
        found = measure(shape, options.repeats)
        console.print(table(shape, found))
        results.append({"shape": shape, "milliseconds": found})
    options.out.parent.mkdir(parents=True, exist_ok=True)
    about = {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "machine": platform.processor() or platform.machine(),
        "dtype": "float32",
        "repeats": options.repeats,
    }
    options.out.write_text(json.dumps({**about, "results": results}, indent=1), encoding="utf-8")
    console.print(str(options.out))


if __name__ == "__main__":
    main()
