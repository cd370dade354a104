"""LSTM, GRU, BRC and nBRC on real speech and on a task of pure memory, in minutes.

``python -m torchrecurrent.studies.demo``; ``--help`` lists the options.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from .reporting.comparison import Comparison, compare
from .reporting.report import tables
from .reporting.summary import first_below, summarize
from .running.machine import describe_machine
from .running.models import build_layer
from .running.records import RunConfig, RunResult
from .running.store import write_json
from .running.sweep import sweep
from .tasks.copy_first import CopyFirst
from .tasks.vowels import Vowels

__all__ = ["main"]

CELLS = ("LSTM", "GRU", "BRC", "nBRC")
LONG, SHORT = 100, 5
SOURCE = (
    "The figures of niklexical/brc_pytorch (2 x 100 units, one run each, training MSE): at "
    "T = 100, BRC and nBRC go below LSTM and GRU (0.30 and 0.13, 0.87 and 0.80 after about "
    "5,400 steps); at T = 5 it is the reverse: LSTM and GRU are under 0.1 after about 100 "
    "steps, nBRC after 250, BRC after 650."
)
#: The cells that are ahead and those that are behind in the source, by length.
EXPECTED = {
    LONG: (("BRC", "nBRC"), ("LSTM", "GRU")),
    SHORT: (("LSTM", "GRU"), ("BRC", "nBRC")),
}


@dataclass(frozen=True)
class Size:
    """How much is run; the numbers of a smoke run are meaningless."""

    steps: int = 600
    epochs: int = 40
    seeds: int = 3
    copy_hidden: int = 64
    vowels_hidden: int = 32
    copy_batch: int = 100
    validation_size: int = 500
    test_size: int = 2000
    evaluate_every: int = 25


SMOKE = Size(
    steps=4,
    epochs=1,
    seeds=2,
    copy_hidden=8,
    vowels_hidden=8,
    copy_batch=8,
    validation_size=20,
    test_size=20,
    evaluate_every=2,
)
VOWELS_BATCH = 27


def plan(size: Size, cells: Sequence[str]) -> list[RunConfig]:
    """Return the runs; with the same seed all cells get the same data."""
    vowels = Vowels()
    epoch = -(-vowels.training_size // VOWELS_BATCH)
    copies = [CopyFirst(length, size.validation_size, size.test_size) for length in (SHORT, LONG)]
    return [
        RunConfig(
            task=vowels,
            cell=cell,
            seed=seed,
            hidden_size=size.vowels_hidden,
            num_layers=1,
            steps=size.epochs * epoch,
            batch_size=VOWELS_BATCH,
            learning_rate=0.01,
            evaluate_every=epoch,
        )
        for cell in cells
        for seed in range(size.seeds)
    ] + [
        RunConfig(
            task=copy,
            cell=cell,
            seed=seed,
            hidden_size=size.copy_hidden,
            num_layers=2,
            steps=size.steps,
            batch_size=size.copy_batch,
            learning_rate=0.001,
            evaluate_every=size.evaluate_every,
        )
        for copy in copies
        for cell in cells
        for seed in range(size.seeds)
    ]


def findings(results: Sequence[RunResult], size: Size) -> list[str]:
    """Compare the measurements with the source's figures, in sentences."""
    said = [SOURCE]
    for length, (ahead, behind) in EXPECTED.items():
        task = CopyFirst(length, size.validation_size, size.test_size)
        found = compare([r for r in results if r.config.task == task], ahead, behind)
        if found is not None:
            said.append(
                f"Measured at T = {length}, test MSE after {size.steps} steps, "
                f"{_verdict(found)}: {found}."
            )
    short = CopyFirst(SHORT, size.validation_size, size.test_size)
    cells = dict.fromkeys(each.config.cell for each in results)
    reached = {
        cell: first_below(
            [r for r in results if (r.config.task, r.config.cell) == (short, cell)], 0.1
        )
        for cell in cells
    }
    listed = ", ".join(f"{cell} {'never' if at is None else at}" for cell, at in reached.items())
    said.append(
        f"Steps at T = {SHORT} until the mean validation MSE, looked at every "
        f"{size.evaluate_every}, is below 0.1: {listed}."
    )
    return said


def _verdict(found: Comparison) -> str:
    if found.verdict != 1:
        return "unlike the source"
    if found.seeds_agreeing < found.seeds:
        return "as in the source on average, though not in every seed"
    return "as in the source"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and print where its files are.

    Returns:
        The exit status: 0, or 130 after Ctrl-C.
    """
    options = _parse(arguments)
    console = Console()
    try:
        _demo(options, console)
    except KeyboardInterrupt:
        console.print("Stopped.")
        return 130
    return 0


def _demo(options: argparse.Namespace, console: Console) -> None:
    size: Size = options.size
    start = time.perf_counter()
    configs = plan(size, options.cells)
    _say(
        console,
        f"{len(configs)} runs, {options.jobs} at a time, one thread each: {size.seeds} seeds of "
        f"{', '.join(options.cells)}.",
    )
    results = sweep(configs, options.jobs, console)
    # Not above: the workers import this module too, and would import matplotlib for nothing.
    from .reporting.figure import draw

    summaries = summarize(results)
    said = findings(results, size)
    if options.smoke:
        said.append("This was a smoke run: its numbers mean nothing.")
    seconds = time.perf_counter() - start
    json_path = options.out / "demo.json"
    tasks = list(dict.fromkeys(each.task for each in configs))
    copies = [task for task in tasks if isinstance(task, CopyFirst)]
    others = [task for task in tasks if not isinstance(task, CopyFirst)]
    pictures = draw(results, copies, others, options.out / "demo.png")
    write_json(
        json_path,
        {
            **describe_machine(),
            "smoke": options.smoke,
            "jobs": options.jobs,
            "threads_per_job": 1,
            "wall_seconds": seconds,
            "summary": [each.to_dict() for each in summaries],
            "findings": said,
            "runs": [each.to_dict() for each in results],
        },
    )
    for table in tables(summaries, unicode=console.encoding.startswith("utf")):
        console.print(table)
    _say(
        console,
        f"Vowels: 1 x {size.vowels_hidden} units, {size.epochs} epochs, packed. Copy: "
        f"2 x {size.copy_hidden} units, {size.steps} steps of {size.copy_batch} sequences. Equal "
        "widths, so unequal parameters. SE: standard error over n seeds. steps/s: training steps "
        "a second of one thread.",
    )
    for sentence in said:
        console.print()
        _say(console, sentence)
    console.print()
    for path in (*pictures, json_path):
        console.print(str(path), markup=False, highlight=False, soft_wrap=True)
    _say(console, f"{seconds / 60:.1f} minutes.")


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m torchrecurrent.studies.demo",
        description="Compare recurrent cells on Japanese vowels and on copy-first-input.",
    )
    whole = Size()
    parser.add_argument("--smoke", action="store_true", help="a few steps, to see that it runs")
    parser.add_argument(
        "--out", type=Path, default=Path("build/demo"), help="folder to write to (%(default)s)"
    )
    parser.add_argument("--seeds", type=_positive, help=f"runs a cell and task ({whole.seeds})")
    parser.add_argument(
        "--steps", type=_positive, help=f"gradient steps of copy-first-input ({whole.steps})"
    )
    parser.add_argument(
        "--epochs", type=_positive, help=f"passes over the speech recordings ({whole.epochs})"
    )
    parser.add_argument(
        "--jobs",
        type=_positive,
        default=os.cpu_count() or 1,
        help="runs at a time (number of cores: %(default)s)",
    )
    parser.add_argument(
        "--cells",
        nargs="+",
        default=list(CELLS),
        metavar="CELL",
        help=f"{', '.join(CELLS)}, or any layer or cell of torchrecurrent",
    )
    options = parser.parse_args(arguments)
    options.cells = list(dict.fromkeys(options.cells))
    for cell in options.cells:
        try:
            build_layer(cell, 1, 1, 1)
        except ValueError as error:
            parser.error(str(error))
    given = {
        name: getattr(options, name)
        for name in ("steps", "epochs", "seeds")
        if getattr(options, name) is not None
    }
    base = SMOKE if options.smoke else whole
    options.size = Size(**{**vars(base), **given})
    return options


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {value}")
    return value


if __name__ == "__main__":
    sys.exit(main())
