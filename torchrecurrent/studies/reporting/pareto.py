"""Draws the scores of all cells on a task over the time that their training takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from .figure import COLOURS, save
from .leaderboard import Entry

__all__ = ["draw_pareto", "frontier"]

#: Named although others may be ahead of them: what readers compare with.
_KNOWN = ("LSTM", "GRU", "RNN")


def frontier(entries: Sequence[Entry]) -> list[Entry]:
    """Return those that no other is ahead of in score and time both, the fastest first.

    Entries without a time or a score, or with runs that diverged, are left out.
    """
    sign = -1 if entries[0].higher_is_better else 1
    known = [
        (each.milliseconds, sign * each.mean, each)
        for each in entries
        if each.milliseconds is not None and each.mean is not None and not each.diverged
    ]
    found: list[Entry] = []
    best = float("inf")
    for _, score, each in sorted(known, key=lambda one: one[:2]):
        if score < best:
            found.append(each)
            best = score
    return found


def draw_pareto(entries: Sequence[Entry], path: Path) -> list[Path]:
    """Draw one task.

    Args:
        entries: of one task.
        path: where to; the suffix is replaced by ``.png`` and ``.svg``.

    Returns:
        The files written.
    """
    shown = [each for each in entries if each.seconds is not None and each.mean is not None]
    ahead = frontier(shown)
    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    axis = figure.subplots()
    axis.spines[["top", "right"]].set_visible(False)
    named = {each.layer: each for each in (*ahead, *(e for e in shown if e.layer in _KNOWN))}
    others = [each for each in shown if each.layer not in named]
    axis.plot(*_points(others), "o", color="#999999", markersize=4, alpha=0.7)
    axis.plot(
        *_points(ahead), "-o", color=COLOURS[0], markersize=5, label="nothing is ahead in both"
    )
    known = [each for each in named.values() if each not in ahead]
    axis.plot(*_points(known), "s", color=COLOURS[2], markersize=5)
    for each in named.values():
        axis.annotate(
            each.layer,
            (each.seconds or 0.0, each.mean or 0.0),
            xytext=(5, 4),
            textcoords="offset points",
            fontsize=8,
        )
    baseline = shown[0].baseline
    axis.axhline(baseline, color="#999999", linestyle=":", linewidth=1, label="trivial answer")
    axis.set_xscale("log")
    if not shown[0].higher_is_better and min(e.mean or 1.0 for e in shown) < baseline / 20:
        axis.set_yscale("log")
    axis.set_xlabel("processor time of the training, seconds")
    axis.set_ylabel(f"test {shown[0].measure}")
    axis.legend(fontsize=8, frameon=False)
    return save(figure, path)


def _points(entries: Sequence[Entry]) -> tuple[list[float], list[float]]:
    return [each.seconds or 0.0 for each in entries], [each.mean or 0.0 for each in entries]
