"""Times layers and their alternatives on the CPU: ``make bench``."""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType

import torch
from rich.console import Console

from . import (
    beside_torch,
    figure,
    first_call,
    machine,
    memory,
    options,
    peers,
    products,
    report,
    results,
    streaming,
)
from .compiled import CompileTime, compiled_rows, fresh_cache
from .results import AtShape, Results
from .rows import SHAPES, Shape, rows, title
from .timing import interleave


def measure(
    shape: Shape, modules: dict[str, ModuleType], repeats: int, *, with_compile: bool
) -> tuple[AtShape, list[CompileTime]]:
    """Measure all rows at one shape, and optionally the time that torch.compile took."""
    steps, batch, width, hidden = shape
    torch.manual_seed(0)
    x = torch.randn(steps, batch, width)
    found = rows(x, hidden, modules)
    seconds: list[CompileTime] = []
    failed: dict[str, str] = {}
    with fresh_cache() if with_compile else nullcontext():
        if with_compile:
            compiled, seconds, failed = compiled_rows(x, hidden)
            found += compiled
            order = list(dict.fromkeys(row.cell for row in found))
            found.sort(key=lambda row: order.index(row.cell))
        timed, not_run = interleave(found, repeats, title(shape))
    return AtShape(shape, timed, failed | not_run), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description="Time layers on the CPU.")
    parser.add_argument(
        "--repeats",
        type=int,
        default=15,
        help="number of runs of which the median is taken (%(default)s)",
    )
    parser.add_argument(
        "--shape",
        type=int,
        nargs=4,
        action="append",
        metavar=("T", "N", "I", "H"),
        help="time this one only; can be given again (default: all four)",
    )
    parser.add_argument("--out", type=Path, default=Path("build/bench.json"), help="%(default)s")
    for part, what in (
        ("compile", "torch.compile at the first shape, which takes minutes"),
        ("first-call", "first calls, compiled and from the cache"),
        ("memory", "peak memory"),
        ("streaming", "single steps"),
        ("products", "the products of a step, beside the peak of a core"),
        ("options", "training with what may be asked of a layer or of a call"),
        ("beside", "torch's layers and ours at further shapes, in stacks, and on a busy machine"),
    ):
        parser.add_argument(
            f"--{part}", action=argparse.BooleanOptionalAction, default=True, help=what
        )
    chosen = parser.parse_args()
    console = Console(width=80) if not Console().is_terminal else Console()
    modules, notes = peers.load_all()
    found = Results(machine.describe() | {"repeats": chosen.repeats}, notes)
    if chosen.first_call:
        found.first_call = first_call.measure(5)
    if chosen.memory:
        found.memory = memory.measure(3)
    if chosen.streaming:
        found.streaming = streaming.measure(2000)
    if chosen.products:
        found.products = products.measure(7)
    if chosen.options:
        found.options = options.measure(chosen.repeats)
    if chosen.beside:
        found.beside = beside_torch.measure(chosen.repeats)
    shapes: list[Shape] = [tuple(each) for each in chosen.shape] if chosen.shape else SHAPES
    for shape in shapes:
        at_shape, seconds = measure(
            shape,
            modules,
            chosen.repeats,
            with_compile=chosen.compile and shape == shapes[0],
        )
        found.shapes.append(at_shape)
        found.compile_seconds += seconds
        console.print(report.table(*report.at_shape(at_shape)))
    report.show(found, console)
    results.write(found, chosen.out)
    chosen.out.with_suffix(".md").write_text(report.markdown(found), encoding="utf-8")
    pictures = figure.draw(found.shapes, chosen.out)
    for path in (chosen.out, chosen.out.with_suffix(".md"), *pictures):
        console.print(str(path))


if __name__ == "__main__":
    main()
