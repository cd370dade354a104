"""Validation curves of each task, and a panel of final test scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure

from .records import RunResult
from .store import atomic_path
from .summary import mean_curve, summarize

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .task import Task

__all__ = ["draw"]

#: Okabe and Ito's colours, which the colour-blind tell apart.
COLOURS = ("#0072B2", "#56B4E9", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#F0E442", "#000000")
DASHES = ("-", "-.", "-", "-.")


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
    cells = list(dict.fromkeys(each.config.cell for each in results))
    colours = {cell: COLOURS[k % len(COLOURS)] for k, cell in enumerate(cells)}
    dashes = {cell: DASHES[k % len(DASHES)] for k, cell in enumerate(cells)}
    panels = len(curves) + len(bars)
    figure = Figure(figsize=(4.0 * panels, 3.6), layout="constrained")
    axes = list(figure.subplots(1, panels, squeeze=False)[0])
    for axis, task in zip(axes, curves, strict=False):
        own = [each for each in results if each.config.task == task]
        _draw_curves(axis, task, own, colours, dashes)
    for axis, task in zip(axes[len(curves) :], bars, strict=True):
        _draw_scores(axis, task, [each for each in results if each.config.task == task], colours)
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
                metadata={"Date": None} if suffix == ".svg" else None,
            )
        written.append(target)
    return written


def _draw_curves(
    axis: Axes,
    task: Task,
    results: Sequence[RunResult],
    colours: dict[str, str],
    dashes: dict[str, str],
) -> None:
    for cell in dict.fromkeys(each.config.cell for each in results):
        own = [each for each in results if each.config.cell == cell]
        diverged = sum(each.status == "diverged" for each in own)
        label = cell if not diverged else f"{cell} ({diverged}/{len(own)} diverged)"
        points = mean_curve(own)
        steps = [step for step, _, _ in points]
        means = [mean for _, mean, _ in points]
        # On a logarithmic axis the band must stay above 0.
        low = [max(mean - error, mean / 10) for _, mean, error in points]
        high = [mean + error for _, mean, error in points]
        axis.plot(steps, means, dashes[cell], color=colours[cell], label=label, linewidth=1.6)
        axis.fill_between(steps, low, high, color=colours[cell], alpha=0.2, linewidth=0)
    axis.axhline(task.baseline, color="0.35", linestyle="--", linewidth=1.2)
    axis.text(
        0.98,
        task.baseline,
        f"{task.baseline_name}: {task.baseline:g}",
        transform=axis.get_yaxis_transform(),
        ha="right",
        va="bottom",
        color="0.35",
        fontsize=8,
    )
    seeds = len({each.config.seed for each in results})
    scores = [score for each in results for _, score in each.curve]
    axis.set(
        title=task.name[0].upper() + task.name[1:],
        xlabel="training step",
        ylabel=f"validation {task.measure} (mean ± SE, n = {seeds})",
        # Within a decade a logarithmic axis has hardly a tick to read.
        yscale="log" if 0 < 10 * min(scores) < max(scores) else "linear",
    )
    axis.grid(alpha=0.25)
    axis.legend(fontsize=8, loc="lower left")
    axis.spines[["top", "right"]].set_visible(False)


def _draw_scores(
    axis: Axes, task: Task, results: Sequence[RunResult], colours: dict[str, str]
) -> None:
    for place, each in enumerate(summarize(results)):
        axis.plot(
            [place] * len(each.scores), each.scores, "o", color=colours[each.cell], alpha=0.35
        )
        if each.mean is not None:
            axis.errorbar(
                [place + 0.15],
                [each.mean],
                yerr=[each.error or 0.0],
                fmt="s",
                color=colours[each.cell],
                capsize=3,
            )
    cells = [each.cell for each in summarize(results)]
    axis.axhline(task.baseline, color="0.35", linestyle="--", linewidth=1.2)
    axis.text(
        0.02,
        task.baseline,
        f"{task.baseline_name}: {task.baseline:.3f}",
        transform=axis.get_yaxis_transform(),
        va="bottom",
        color="0.35",
        fontsize=8,
    )
    axis.set_xticks(range(len(cells)), cells)
    axis.set(
        title=task.name[0].upper() + task.name[1:],
        xlabel="dots: seeds; squares: mean ± SE",
        ylabel=f"test {task.measure}",
        xlim=(-0.6, len(cells) - 0.4),
    )
    if task.higher_is_better:
        axis.set_ylim(0, 1.02)
    axis.grid(alpha=0.25, axis="y")
    axis.spines[["top", "right"]].set_visible(False)
