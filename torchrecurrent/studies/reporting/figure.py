"""Draws validation curves, final test scores, and scores over a series of test sets."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure

from ..running.groups import Group, series
from ..running.records import RunResult
from ..running.store import atomic_path
from .summary import mean_curve, standard_error, summarize

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..tasks.task import Task

__all__ = ["COLOURS", "draw", "draw_group", "save"]

#: Okabe and Ito's colours, which colour-blind readers can distinguish.
COLOURS = ("#0072B2", "#56B4E9", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#000000")
DASHES = ("-", "-.", "-", "-.")
#: The dashes of further rounds through the colours.
MORE_DASHES = (":", "--")


@dataclass(frozen=True)
class Style:
    """How each cell is drawn, the same in every panel."""

    colours: Mapping[str, str]
    dashes: Mapping[str, str]

    @classmethod
    def of(cls, cells: Sequence[str]) -> Style:
        """Assign colours in turn, with other dashes in each further round."""
        colours = {cell: COLOURS[k % len(COLOURS)] for k, cell in enumerate(cells)}
        dashes = {
            cell: DASHES[k % len(DASHES)]
            if k < len(COLOURS)
            else MORE_DASHES[k // len(COLOURS) % len(MORE_DASHES) - 1]
            for k, cell in enumerate(cells)
        }
        return cls(colours, dashes)


def draw(
    results: Sequence[RunResult], curves: Sequence[Task], bars: Sequence[Task], path: Path
) -> list[Path]:
    """Draw a panel for each task.

    Args:
        results: the runs.
        curves: tasks whose validation curves are drawn.
        bars: tasks whose test scores are drawn.
        path: where to; the suffix is replaced by ``.png`` and ``.svg``.

    Returns:
        The files written.
    """
    style = Style.of(list(dict.fromkeys(each.config.cell for each in results)))
    figure, axes = _panels(len(curves) + len(bars))
    for axis, task in zip(axes, curves, strict=False):
        _draw_curves(axis, [each for each in results if each.config.task == task], style)
        axis.set_title(_title(task.name))
        axis.legend(fontsize=8, loc="lower left")
    for axis, task in zip(axes[len(curves) :], bars, strict=True):
        _draw_scores(axis, [each for each in results if each.config.task == task], style)
        axis.set_title(_title(task.name))
    return save(figure, path)


def draw_group(group: Group, path: Path) -> list[Path]:
    """Draw the validation curves of a setting, and its test scores or series of them.

    Args:
        group: the runs.
        path: where to; the suffix is replaced by ``.png`` and ``.svg``.

    Returns:
        The files written.
    """
    style = Style.of(group.cells)
    figure, (left, right) = _panels(2)
    _draw_curves(left, group.results, style)
    if any(each.series for each in group.results):
        _draw_series(right, group, style)
    else:
        _draw_scores(right, group.results, style)
    figure.suptitle(group.title, fontsize=11)
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", fontsize=8, frameon=False)
    return save(figure, path)


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(4.0 * count, 3.6), layout="constrained")
    axes = list(figure.subplots(1, count, squeeze=False)[0])
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def save(figure: Figure, path: Path) -> list[Path]:
    written = []
    for suffix in (".png", ".svg"):
        target = path.with_suffix(suffix)
        # Text as text and a fixed salt: the same numbers give the same SVG.
        with (
            atomic_path(target) as unfinished,
            mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "torchrecurrent"}),
        ):
            figure.savefig(
                unfinished,
                format=suffix[1:],
                dpi=150,
                bbox_inches="tight",
                metadata={"Date": None} if suffix == ".svg" else None,
            )
        written.append(target)
    return written


def _title(name: str) -> str:
    return name[0].upper() + name[1:]


def _draw_curves(axis: Axes, results: Sequence[RunResult], style: Style) -> None:
    task = results[0].config.task
    for cell in style.colours:
        own = [each for each in results if each.config.cell == cell]
        if not own:
            continue
        diverged = sum(each.status == "diverged" for each in own)
        label = cell if not diverged else f"{cell} ({diverged}/{len(own)} diverged)"
        _draw_line(axis, mean_curve(own), cell, label, style)
    _draw_level(axis, task.baseline, f"{task.baseline_name}: {task.baseline:.3g}", "--")
    if task.threshold is not None:
        _draw_level(axis, task.threshold, f"solved: {task.threshold:.3g}", ":")
    counts = Counter(each.config.cell for each in results).values()
    seeds = " to ".join(map(str, sorted({min(counts), max(counts)})))
    scores = [score for each in results for _, score in each.curve]
    axis.set(
        xlabel="training step",
        ylabel=f"validation {task.measure} (mean ± SE, n = {seeds})",
        yscale=_scale(task, scores),
    )
    axis.grid(alpha=0.25)


def _draw_line(
    axis: Axes, points: Sequence[tuple[float, float, float]], cell: str, label: str, style: Style
) -> None:
    """Draw a mean with a band of one standard error."""
    steps = [step for step, _, _ in points]
    means = [mean for _, mean, _ in points]
    # On a logarithmic axis the band must stay above 0.
    low = [max(mean - error, mean / 10) for _, mean, error in points]
    high = [mean + error for _, mean, error in points]
    colour = style.colours[cell]
    axis.plot(steps, means, style.dashes[cell], color=colour, label=label, linewidth=1.6)
    axis.fill_between(steps, low, high, color=colour, alpha=0.2, linewidth=0)


def _draw_level(axis: Axes, level: float, label: str, dashes: str) -> None:
    axis.axhline(level, color="0.35", linestyle=dashes, linewidth=1.2)
    axis.text(
        0.98,
        level,
        label,
        transform=axis.get_yaxis_transform(),
        ha="right",
        va="bottom",
        color="0.35",
        fontsize=8,
    )


def _draw_series(axis: Axes, group: Group, style: Style) -> None:
    task = group.config.task
    at: list[int] = []
    lowest = 1.0
    for cell in group.cells:
        scores = series(group, cell)
        at = at or list(scores)
        points = [(k, fmean(v), standard_error(v) or 0.0) for k, v in scores.items()]
        lowest = min([lowest, *(mean - error for _, mean, error in points)])
        _draw_line(axis, points, cell, cell, style)
    kinds = [task.series_kind(k) for k in at]
    for place in range(1, len(at)):
        if kinds[place] != kinds[place - 1]:
            axis.axvline(at[place] - 0.5, color="0.35", linestyle=":", linewidth=1)
    for kind in dict.fromkeys(kinds):
        first = at[kinds.index(kind)]
        bottom = axis.get_xaxis_transform()
        axis.text(
            first,
            0.03,
            kind,
            transform=bottom,
            rotation=90,
            va="bottom",
            fontsize=8,
            color="0.35",
        )
    axis.set(xlabel=task.series_name, ylabel=f"test {task.measure} (mean ± SE)")
    if task.higher_is_better:
        # If all scores are near the top, an axis from 0 would hide their differences.
        floor = 0 if lowest < 0.5 else math.floor(20 * lowest - 0.5) / 20
        axis.set_ylim(floor, 1 + 0.02 * (1 - floor))
    axis.grid(alpha=0.25)


def _draw_scores(axis: Axes, results: Sequence[RunResult], style: Style) -> None:
    task, summaries = results[0].config.task, summarize(results)
    for place, each in enumerate(summaries):
        colour = style.colours[each.cell]
        axis.plot([place] * len(each.scores), each.scores, "o", color=colour, alpha=0.35)
        if each.mean is not None:
            axis.errorbar(
                [place + 0.15],
                [each.mean],
                yerr=[each.error or 0.0],
                fmt="s",
                color=colour,
                capsize=3,
            )
    cells = [each.cell for each in summaries]
    _draw_level(axis, task.baseline, f"{task.baseline_name}: {task.baseline:.3g}", "--")
    many = len(cells) > 6
    axis.set_xticks(range(len(cells)), cells, rotation=60 if many else 0, fontsize=8)
    scores = [score for each in summaries for score in each.scores]
    axis.set(
        xlabel="dots: seeds; squares: mean ± SE",
        ylabel=f"test {task.measure}",
        xlim=(-0.6, len(cells) - 0.4),
        yscale=_scale(task, scores),
    )
    if task.higher_is_better:
        axis.set_ylim(0, 1.02)
    axis.grid(alpha=0.25, axis="y")


def _scale(task: Task, scores: Sequence[float]) -> str:
    """Return the scale: within a decade a logarithmic axis has few ticks; shares begin at 0."""
    if task.higher_is_better or not scores:
        return "linear"
    return "log" if 0 < 10 * min(scores) < max(scores) else "linear"
