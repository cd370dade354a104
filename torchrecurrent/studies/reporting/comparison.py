"""Compares cells seed by seed: with the same seed all cells have the same data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Literal

from scipy.stats import t as student

from ..running.records import RunResult
from .summary import standard_error

__all__ = ["By", "Comparison", "Difference", "compare", "paired_difference"]

#: Test scores are compared by their mean, steps to the threshold by their median.
By = Literal["score", "steps"]


@dataclass(frozen=True)
class Comparison:
    """Whether each cell of one group is ahead of each cell of another.

    Attributes:
        ahead: the cells expected ahead, or the level.
        behind: the cells expected behind, or the level.
        found: mean score or median steps of each cell; ``None`` if a run diverged, or half of
            them never reached the threshold.
        verdict: 1 if these numbers agree with the expectation, -1 with the opposite, else 0.
        seeds_agreeing: number of seeds with each of ``ahead`` ahead of each of ``behind``.
        seeds: number of seeds that all of these cells were run on.
        by: the compared quantity of each run.
    """

    ahead: tuple[str, ...]
    behind: tuple[str, ...]
    found: Mapping[str, float | None]
    verdict: int
    seeds_agreeing: int
    seeds: int
    by: By

    def __str__(self) -> str:
        ahead, behind = " and ".join(self.ahead), " and ".join(self.behind)
        verb = "is" if len(self.ahead) == 1 else "are"
        said = {
            1: f"{ahead} {verb} ahead of {behind}",
            -1: f"{ahead} {verb} behind {behind}",
            0: f"{ahead} {verb} not clearly on one side of {behind}",
        }[self.verdict]
        return f"{said} ({self.numbers}); ahead in {self.seeds_agreeing} of {self.seeds} seeds"

    @property
    def numbers(self) -> str:
        """The result of each cell."""
        shape = ".0f" if self.by == "steps" else ".4g"
        return ", ".join(
            f"{cell} {'-' if value is None else format(value, shape)}"
            for cell, value in self.found.items()
        )


def compare(
    results: Sequence[RunResult],
    ahead: Sequence[str],
    behind: Sequence[str],
    by: By = "score",
    level: float | None = None,
) -> Comparison | None:
    """Compare two groups of cells on one task, seed by seed.

    Args:
        results: runs of one task and setting.
        ahead: cells expected ahead; if there are none, ``level`` is.
        behind: cells expected behind; if there are none, ``level`` is.
        by: the quantity of each run to compare.
        level: a score or a number of steps.

    Returns:
        The comparison; ``None`` if one of the cells was not run, or no seed is common to all.
    """
    cells = (*ahead, *behind)
    own = {cell: [each for each in results if each.config.cell == cell] for cell in cells}
    if not all(own.values()):
        return None
    higher = by == "score" and results[0].config.task.higher_is_better

    def cost(value: float | None) -> float:
        return math.inf if value is None else -value if higher else value

    costs = {
        cell: {each.config.seed: cost(_value(each, by)) for each in runs}
        for cell, runs in own.items()
    }
    seeds = set.intersection(*(set(each) for each in costs.values()))
    if not seeds:
        return None
    typical = {
        cell: (median if by == "steps" else fmean)(each.values()) for cell, each in costs.items()
    }
    side = [cost(level)]  # for the group that has no cells

    def is_ahead(of: Mapping[str, float]) -> bool:
        return max([of[c] for c in ahead] or side) < min([of[c] for c in behind] or side)

    def is_behind(of: Mapping[str, float]) -> bool:
        return min([of[c] for c in ahead] or side) > max([of[c] for c in behind] or side)

    return Comparison(
        ahead=tuple(ahead) or (f"{level:g}",),
        behind=tuple(behind) or (f"{level:g}",),
        found={
            cell: None if value == math.inf else abs(value) if higher else value
            for cell, value in typical.items()
        },
        verdict=int(is_ahead(typical)) - int(is_behind(typical)),
        seeds_agreeing=sum(is_ahead({c: costs[c][seed] for c in cells}) for seed in seeds),
        seeds=len(seeds),
        by=by,
    )


def _value(result: RunResult, by: By) -> float | None:
    return result.test_score if by == "score" else result.solved_at


@dataclass(frozen=True)
class Difference:
    """The mean difference of two cells' scores on the same seeds.

    Attributes:
        mean: the mean of the differences.
        low: lower end of the 95 % interval of Student's t; ``None`` for fewer than three pairs.
        high: upper end, likewise.
        pairs: the number of seeds on which neither diverged.
    """

    mean: float
    low: float | None
    high: float | None
    pairs: int


def paired_difference(results: Sequence[RunResult], cell: str, reference: str) -> Difference | None:
    """Compare the test scores of two cells seed by seed; ``None`` without a common seed."""
    scores: dict[str, dict[int, float]] = {cell: {}, reference: {}}
    for each in results:
        if each.config.cell in scores and each.test_score is not None:
            scores[each.config.cell][each.config.seed] = each.test_score
    differences = [
        score - scores[reference][seed]
        for seed, score in scores[cell].items()
        if seed in scores[reference]
    ]
    if not differences:
        return None
    mean, pairs = fmean(differences), len(differences)
    error = standard_error(differences)
    if error is None or pairs < 3:  # two points span an interval of 25 standard errors
        return Difference(mean, None, None, pairs)
    reach = float(student.ppf(0.975, pairs - 1)) * error
    return Difference(mean, mean - reach, mean + reach, pairs)
