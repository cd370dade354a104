"""Makes the leaderboard of the runs that ``make leaderboard`` made, and times a step of each cell.

Times are processor time of one thread, medians of interleaved rounds, so that what else runs on
the machine matters little.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

import torch
from rich.console import Console
from rich.progress import track

from torchrecurrent.studies.reporting import leaderboard
from torchrecurrent.studies.reporting.pareto import draw_pareto
from torchrecurrent.studies.running.groups import Group, load
from torchrecurrent.studies.running.store import StudyError, atomic_path
from torchrecurrent.studies.running.training import Training

PRESET = "leaderboard"
#: Rounds, and training steps of a cell in a round.
ROUNDS, STEPS = 5, 4


def step_times(group: Group, layers: Iterable[str], console: Console) -> dict[str, float]:
    """Return the milliseconds of a training step, by layer.

    Args:
        group: runs of the study, of any layers.
        layers: others to time.
        console: shows the progress.
    """
    torch.set_num_threads(1)
    config = group.results[0].config
    first = {each.config.cell: each.config for each in reversed(group.results)}
    run = {cell.removeprefix("torchrecurrent.") for cell in first}
    first |= {name: replace(config, cell=name) for name in layers if name not in run}
    batch = group.config.task.typical(0, group.config.batch_size)
    trainings = {cell: Training(config) for cell, config in first.items()}
    found: dict[str, list[float]] = {cell: [] for cell in first}
    for each in trainings.values():
        each.learn(batch)
    for _ in track(range(ROUNDS), group.title, console=console):
        for cell, each in trainings.items():
            each.learn(batch)  # its weights and kernel are in the cache again
            start = time.process_time()
            for _ in range(STEPS):
                each.learn(batch)
            found[cell].append(1000 * (time.process_time() - start) / STEPS)
    return {cell.removeprefix("torchrecurrent."): median(times) for cell, times in found.items()}


def read_times(path: Path) -> dict[tuple[str, str], float]:
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        return {
            (row["study"], row["layer"]): float(row["milliseconds"]) for row in csv.DictReader(file)
        }


def write_times(path: Path, times: dict[tuple[str, str], float]) -> None:
    with atomic_path(path) as unfinished, unfinished.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["study", "layer", "milliseconds"])
        writer.writerows((*key, f"{value:.3f}") for key, value in sorted(times.items()))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.leaderboard", description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("build/leaderboard"))
    parser.add_argument("--out", type=Path, default=Path("docs/leaderboard"))
    parser.add_argument("--time", action="store_true", help="time the steps anew")
    chosen = parser.parse_args(arguments)
    console = Console()
    try:
        groups = [each for each in load(chosen.results) if each.preset == PRESET]
    except StudyError as error:
        print(f"leaderboard: error: {error}", file=sys.stderr)
        return 2
    kept = chosen.out / "scores.csv"
    known = leaderboard.read(kept) if kept.exists() else []
    times = read_times(chosen.out / "times.csv")
    if chosen.time:
        for each in groups:
            layers = [entry.layer for entry in known if entry.study == each.study]
            for layer, milliseconds in step_times(each, layers, console).items():
                times[each.study, layer] = milliseconds
        write_times(chosen.out / "times.csv", times)
    try:
        entries = leaderboard.place(groups, times, known)
    except ValueError as error:
        print(f"leaderboard: error: {error}", file=sys.stderr)
        return 2
    leaderboard.write(kept, entries)
    for group in groups:
        own = [each for each in entries if each.study == group.study]
        left = f"; {group.unfinished} runs are unfinished" if group.unfinished else ""
        best = ", ".join(f"{each.place}. {each.layer}" for each in own[:5])
        console.print(f"{group.title}: {len(own)} layers, {best}{left}", soft_wrap=True)
        if any(each.seconds for each in own):
            for path in draw_pareto(own, chosen.out / group.study):
                if path.suffix == ".png":
                    path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
