"""Times the training of every cell, nn.LSTM and the cell in 0.2.5: ``make bench-all``."""

from __future__ import annotations

import argparse
import csv
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType

import torch
from rich.console import Console
from torch import nn

from torchrecurrent.catalog.listing import cells, layer_of

from . import machine, peers
from .report import pipes, table
from .rows import SHAPES, Shape, title
from .timing import Row, interleave, layer_row

OLD = "0.2.5"


@dataclass(frozen=True)
class Compared:
    """Milliseconds of a training step; ``None`` if not measured."""

    shape: Shape
    cell: str
    ours: float | None
    lstm: float
    old: float | None
    note: str = ""

    @property
    def over_lstm(self) -> float | None:
        return None if self.ours is None else self.ours / self.lstm

    @property
    def over_old(self) -> float | None:
        return None if self.ours is None or self.old is None else self.ours / self.old


def measure(shape: Shape, old: dict[str, ModuleType], repeats: int) -> list[Compared]:
    """Measure all cells at one shape, interleaved."""
    steps, batch, width, hidden = shape
    torch.manual_seed(0)
    x = torch.randn(steps, batch, width)
    wide = torch.randn(steps, batch, hidden)
    rows = [layer_row("nn.LSTM", "torch", nn.LSTM(width, hidden), x)]
    notes: dict[str, str] = {}
    names = [layer_of(cell).__name__ for cell in cells().values()]
    for name, cell in zip(names, cells().values(), strict=True):
        makers = {"ours": layer_of(cell)} | peers.layers(name, old)
        for source, make in makers.items():
            try:
                try:
                    row = layer_row(name, source, make(width, hidden), x, slow=source == OLD)
                except ValueError:  # a cell that adds its input to its state
                    row = layer_row(name, source, make(hidden, hidden), wide, slow=source == OLD)
                    notes[name] = "input as wide as the state"
            except Exception as error:
                notes[name] = f"{source}: {type(error).__name__}"
            else:
                rows.append(_training_only(row))
    timed, failed = interleave(rows, repeats, title(shape))
    found = {(row.cell, row.source): row.train for row in timed}
    for row in rows:
        if row.name in failed:
            notes[row.cell] = f"{row.source}: {failed[row.name]}"
    lstm = found["nn.LSTM", "torch"]
    assert lstm is not None
    return [
        Compared(
            shape,
            name,
            found.get((name, "ours")),
            lstm,
            found.get((name, OLD)),
            notes.get(name, ""),
        )
        for name in names
    ]


def _training_only(row: Row) -> Row:
    calls = {"train": row.calls["train"]}
    return Row(row.cell, row.source, calls, row.reset, row.slow, row.warm_up)


def summary(found: Sequence[Compared]) -> list[str]:
    """Return the mean over the cells that 0.2.5 has, and the cells that are slower than there."""
    ratios = {each.cell: each.over_old for each in found}
    known = {cell: ratio for cell, ratio in ratios.items() if ratio is not None}
    if not known:
        return [f"No cell could be compared with {OLD}."]
    mean = math.exp(math.fsum(map(math.log, known.values())) / len(known))
    slower = [f"{cell} ({ratio:.2f})" for cell, ratio in known.items() if ratio > 1]
    return [
        f"Geometric mean over the {len(known)} cells that {OLD} has: {mean:.3f} of its time.",
        f"Slower than in {OLD}: " + (", ".join(slower) or "none") + ".",
    ]


HEAD = ["layer", "train, ms", "/ nn.LSTM", f"{OLD}, ms", f"/ {OLD}", "note"]


def body(found: Sequence[Compared]) -> list[list[str]]:
    return [
        [
            each.cell,
            *(
                "" if value is None else f"{value:.2f}"
                for value in (each.ours, each.over_lstm, each.old, each.over_old)
            ),
            each.note,
        ]
        for each in found
    ]


def write(found: Sequence[Compared], about: dict[str, str | int], out: Path) -> list[Path]:
    """Write JSON, CSV and Markdown, with the suffix of ``out`` replaced."""
    out.parent.mkdir(parents=True, exist_ok=True)
    records = [
        asdict(each) | {"over_lstm": each.over_lstm, "over_old": each.over_old} for each in found
    ]
    out.with_suffix(".json").write_text(
        json.dumps({"about": about, "milliseconds": records}, indent=1) + "\n", encoding="utf-8"
    )
    with out.with_suffix(".csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(by_cell(found))
    lines = [f"Measured on {machine.sentence(about)}.", ""]
    for shape in dict.fromkeys(each.shape for each in found):
        own = [each for each in found if each.shape == shape]
        lines += pipes(f"Training, {title(shape)}", HEAD, body(own))
        lines += [*(f"- {line}" for line in summary(own)), ""]
    out.with_suffix(".md").write_text("\n".join(lines), encoding="utf-8")
    return [out.with_suffix(suffix) for suffix in (".json", ".csv", ".md")]


def by_cell(found: Sequence[Compared]) -> list[list[str]]:
    """Return one row per cell, with the shapes side by side, for the documentation."""
    shapes = list(dict.fromkeys(each.shape for each in found))
    head = [["ms", "/ nn.LSTM", "/ 0.2.5"] for _ in shapes]
    rows: dict[str, list[str]] = {}
    for each in found:
        numbers = (each.ours, each.over_lstm, each.over_old)
        parts = ["" if number is None else f"{number:.2f}" for number in numbers]
        rows.setdefault(each.cell, [each.cell]).extend(parts)
    return [["layer", *(name for part in head for name in part)], *rows.values()]


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the training of every cell.")
    parser.add_argument(
        "--repeats",
        type=int,
        default=9,
        help="number of runs of which the median is taken (%(default)s)",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("build/all_cells.json"), help="%(default)s, .csv and .md"
    )
    options = parser.parse_args()
    console = Console(width=80) if not Console().is_terminal else Console()
    modules, notes = peers.load_all()
    about = machine.describe() | {"repeats": options.repeats}
    found: list[Compared] = []
    for shape in SHAPES[:2]:
        own = measure(shape, {k: v for k, v in modules.items() if k == OLD}, options.repeats)
        # There is no room for a column of notes.
        numbers = [row[:-1] for row in body(own)]
        name = f"{title(shape)}; nn.LSTM: {own[0].lstm:.2f} ms"
        console.print(table(name, HEAD[:-1], numbers))
        for line in [*(f"{each.cell}: {each.note}" for each in own if each.note), *summary(own)]:
            console.print(line)
        found += own
    if OLD not in modules:
        console.print(next(note for peer, note in notes.items() if peer.endswith(OLD)))
    console.print(machine.sentence(about))
    for path in write(found, about, options.out):
        console.print(str(path))


if __name__ == "__main__":
    main()
