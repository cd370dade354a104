"""Times many calls in one process, interleaved, so that a disturbance affects all of them."""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from rich.progress import track
from torch import Tensor, nn

__all__ = ["KINDS", "Row", "Timed", "interleave", "layer_row"]

#: Forward without gradients; forward and backward.
KINDS = ("forward", "train")
Call = Callable[[], object]


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Row:
    """The calls that are timed as one row of a table."""

    cell: str
    #: "ours", "torch", a peer's name, or how else the cell is run.
    source: str
    #: The calls by kind.
    calls: Mapping[str, Call]
    #: Called before every call, and not timed.
    reset: Call = _nothing
    #: Timed in a third of the rounds only.
    slow: bool = False
    #: Untimed calls before the first round: they compile, and touch the memory.
    warm_up: int = 2

    @property
    def name(self) -> str:
        return name_of(self.cell, self.source)


@dataclass(frozen=True)
class Timed:
    """The median milliseconds of a row."""

    cell: str
    source: str
    forward: float | None = None
    train: float | None = None

    @property
    def name(self) -> str:
        return name_of(self.cell, self.source)

    def of(self, kind: str) -> float | None:
        return self.forward if kind == "forward" else self.train


def name_of(cell: str, source: str) -> str:
    return cell if source in ("ours", "torch") else f"{cell}, {source}"


def layer_row(
    cell: str,
    source: str,
    layer: nn.Module,
    x: Tensor,
    *,
    run: Callable[[Tensor], Tensor] | None = None,
    slow: bool = False,
    warm_up: int = 2,
) -> Row:
    """Return the row of a layer, called as ``layer(x)[0]`` or by ``run``."""

    def output(value: Tensor) -> Tensor:
        result: Tensor = layer(value)[0]
        return result

    call = run or output

    def forward() -> None:
        with torch.no_grad():
            call(x)

    def train() -> None:
        call(x).sum().backward()

    def reset() -> None:  # as a step of training does, so that nothing is accumulated
        layer.zero_grad(set_to_none=True)

    return Row(cell, source, {"forward": forward, "train": train}, reset, slow, warm_up)


def interleave(
    rows: Sequence[Row], repeats: int, title: str = ""
) -> tuple[list[Timed], dict[str, str]]:
    """Time all rows.

    Args:
        rows: what to time.
        repeats: the number of rounds; slow rows take part in a third of them, at least 3.
        title: shown beside the progress.

    Returns:
        The rows' medians, and why rows are missing.
    """
    failed: dict[str, str] = {}
    for row in track(rows, description=f"{title}, first calls", transient=True):
        try:
            for call in row.calls.values():
                for _ in range(row.warm_up):
                    row.reset()
                    call()
        except Exception as error:  # from a peer, with an input that it does not support
            failed[row.name] = f"{type(error).__name__}: {error}".splitlines()[0]
    rows = [row for row in rows if row.name not in failed]
    times: dict[tuple[str, str], list[float]] = {
        (row.name, kind): [] for row in rows for kind in row.calls
    }
    few = min(repeats, max(3, repeats // 3))
    order = random.Random(0)
    collecting = gc.isenabled()
    gc.disable()  # as timeit does: a collection would be charged to whoever is running
    try:
        for turn in track(range(repeats), description=title, transient=True):
            due = [
                (row, kind)
                for row in rows
                for kind in row.calls
                if not row.slow or turn * few % repeats < few
            ]
            order.shuffle(due)  # so that no row always follows the same one
            for row, kind in due:
                row.reset()
                start = time.perf_counter()
                row.calls[kind]()
                times[row.name, kind].append(1000 * (time.perf_counter() - start))
            gc.collect()
    finally:
        if collecting:
            gc.enable()
    medians = {key: statistics.median(values) for key, values in times.items()}
    return [
        Timed(row.cell, row.source, *(medians.get((row.name, kind)) for kind in KINDS))
        for row in rows
    ], failed
