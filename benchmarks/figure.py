"""Draws training times relative to nn.LSTM's, with a panel for each shape.

``python -m benchmarks.figure build/bench.json`` redraws the figure of a run.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from .results import AtShape, read
from .rows import FLOOR, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw"]

#: Okabe and Ito's colours, which colour-blind readers can distinguish.
COLOURS = {
    "ours": "#0072B2",
    "torch": "#000000",
    "plain loop": "#56B4E9",
    "torch.compile": "#CC79A7",
}
PEER = "#E69F00"
_TEXT = 9  # points
LABELS = {
    "ours": "this package",
    "torch": "torch.nn",
    "plain loop": "this package without a kernel (plain loop)",
    "torch.compile": "the plain loop under torch.compile",
}


def draw(shapes: Sequence[AtShape], path: Path) -> list[Path]:
    """Draw the measurements at each shape.

    Args:
        shapes: one for each panel.
        path: where to; the suffix is replaced by ``.png`` and ``.svg``, and by ``-narrow.svg`` for
            the same with its panels in one column, which can be read on a telephone.

    Returns:
        The files written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    files = {path.with_suffix(suffix): 2 for suffix in (".png", ".svg")}
    files[path.with_name(f"{path.stem}-narrow.svg")] = 1
    for file, columns in files.items():
        # Text as text and a fixed salt: the same numbers give the same SVG.
        with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "torchrecurrent"}):
            _figure(shapes, min(columns, len(shapes))).savefig(
                file, dpi=150, metadata={"Date": None} if file.suffix == ".svg" else None
            )
    return list(files)


def _figure(shapes: Sequence[AtShape], columns: int) -> Figure:
    names = list(dict.fromkeys(row.name for each in shapes for row in each.rows))
    names = [name for name in names if name not in ("nn.LSTM", FLOOR)]
    lines = -(-len(shapes) // columns)
    figure = Figure(
        figsize=(1.7 + 3 * columns, 1.2 + (0.9 + 0.22 * len(names)) * lines),
        layout="constrained",
    )
    grid = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
    axes: list[Axes] = list(grid.flat)
    for axis, found in zip(axes, shapes, strict=False):
        _draw_panel(axis, found, names)
    for axis in axes[len(shapes) :]:
        axis.set_axis_off()
    figure.supxlabel("training time over nn.LSTM's (left of 1: faster)", fontsize=_TEXT)
    sources = dict.fromkeys(row.source for each in shapes for row in each.rows)
    handles = [Patch(color=COLOURS[key], label=LABELS[key]) for key in COLOURS if key in sources]
    if any(row.source not in COLOURS and row.name != FLOOR for each in shapes for row in each.rows):
        handles.append(Patch(color=PEER, label="published before (0.2.5, brc, ur-lstm-torch)"))
    figure.legend(
        handles=handles, loc="outside upper center", ncols=columns, fontsize=_TEXT, frameon=False
    )
    return figure


def _draw_panel(axis: Axes, found: AtShape, names: Sequence[str]) -> None:
    sources = {row.name: row.source for row in found.rows}
    for place, name in enumerate(names):
        ratio = found.ratio(name, "nn.LSTM", "train")
        if ratio is None:
            axis.text(1.05, place, "not timed", color="0.5", va="center", fontsize=_TEXT)
            continue
        # From 1, not from the end of the axis, which is not a measurement.
        axis.barh(place, ratio - 1, left=1, height=0.72, color=COLOURS.get(sources[name], PEER))
        axis.annotate(
            f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}",
            (ratio, place),
            xytext=(-3 if ratio < 1 else 3, 0),
            textcoords="offset points",
            ha="right" if ratio < 1 else "left",
            va="center",
            fontsize=_TEXT,
            bbox={"color": "white", "alpha": 0.8, "pad": 0.3},  # over a line that it crosses
        )
    axis.axvline(1, color="0.2", linestyle="--", linewidth=1)
    floor = found.ratio(FLOOR, "nn.LSTM", "train")
    # Each name on the side away from the other.
    _name_line(axis, 1, "nn.LSTM", "0.2", -1.0, left=floor is not None and floor > 1)
    if floor is not None:
        axis.axvline(floor, color="#009E73", linestyle="--", linewidth=1)
        _name_line(axis, floor, FLOOR, "#009E73", -1.8, left=floor <= 1)
    axis.set_xscale("log")
    axis.set_yticks(range(len(names)), names, fontsize=_TEXT)
    axis.set_ylim(len(names) - 0.4, -2.3)  # the first row on top, and room for the lines' names
    axis.margins(x=0.12)
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.tick_params(axis="x", labelsize=_TEXT, labelbottom=True)
    axis.tick_params(axis="y", length=0)
    axis.grid(alpha=0.25, axis="x")
    axis.set_axisbelow(True)
    axis.set_title(title(found.shape), fontsize=10)
    axis.spines[["top", "right", "left"]].set_visible(False)


def _name_line(axis: Axes, x: float, name: str, colour: str, height: float, *, left: bool) -> None:
    axis.annotate(
        name,
        (x, height),
        xytext=(-4 if left else 4, 0),
        textcoords="offset points",
        ha="right" if left else "left",
        va="center",
        color=colour,
        fontsize=_TEXT,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Draw the figure of a run.")
    parser.add_argument("results", type=Path, help="what the run has written: bench.json")
    source = parser.parse_args().results
    for file in draw(read(source).shapes, source):
        print(file)
