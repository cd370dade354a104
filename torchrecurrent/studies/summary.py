"""What the runs of a sweep come to: means, standard errors, and who is ahead of whom."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from .records import RunResult
from .task import Task

__all__ = [
    "Comparison",
    "Summary",
    "compare",
    "first_below",
    "mean_curve",
    "standard_error",
    "summarize",
]


def standard_error(values: Sequence[float]) -> float | None:
    """Standard error of the mean, std(ddof=1) / sqrt(n); ``None`` of fewer than two values."""
    return stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None


@dataclass(frozen=True)
class Summary:
    """One cell on one task, over the seeds.

    Attributes:
        task: the task.
        cell: the cell's name.
        parameters: number of trained values.
        runs: number of runs.
        diverged: how many of them diverged.
        scores: test scores of the others, in the order of the runs.
        mean: of the scores; ``None`` if there is none.
        error: standard error of the mean; ``None`` of fewer than two scores.
        steps_per_second: mean over the runs that took a step.
        solved: how many test scores are beyond the task's threshold.
        solved_at: each run's first step at which its validation score is; infinite if it never is.
    """

    task: Task
    cell: str
    parameters: int
    runs: int
    diverged: int
    scores: tuple[float, ...]
    mean: float | None
    error: float | None
    steps_per_second: float | None
    solved: int
    solved_at: tuple[float, ...]

    def to_dict(self) -> dict[str, object]:
        """Plain values."""
        return {
            "task": self.task.name,
            "cell": self.cell,
            "parameters": self.parameters,
            "measure": self.task.measure,
            "runs": self.runs,
            "diverged": self.diverged,
            "n": len(self.scores),
            "mean": self.mean,
            "standard_error": self.error,
            "baseline": self.task.baseline,
            "steps_per_second": self.steps_per_second,
        }


def summarize(results: Sequence[RunResult]) -> list[Summary]:
    """One summary for each task and cell, in the order in which they first appear."""
    groups: dict[tuple[Task, str], list[RunResult]] = {}
    for result in results:
        groups.setdefault((result.config.task, result.config.cell), []).append(result)
    return [_summary(task, cell, group) for (task, cell), group in groups.items()]


def _summary(task: Task, cell: str, group: Sequence[RunResult]) -> Summary:
    scores = tuple(each.test_score for each in group if each.test_score is not None)
    speeds = [each.steps_per_second for each in group if each.steps_per_second]
    return Summary(
        task=task,
        cell=cell,
        parameters=group[0].parameters,
        runs=len(group),
        diverged=len(group) - len(scores),
        scores=scores,
        mean=fmean(scores) if scores else None,
        error=standard_error(scores),
        steps_per_second=fmean(speeds) if speeds else None,
        solved=sum(map(task.solved, scores)),
        solved_at=tuple(math.inf if at is None else at for at in (r.solved_at for r in group)),
    )


@dataclass(frozen=True)
class Comparison:
    """Whether each cell of one group ends below each cell of another.

    Attributes:
        lower: the cells expected below.
        upper: the cells expected above.
        means: mean score of each; infinite if one of its runs diverged.
        verdict: 1 if it is so of the means, -1 if the opposite is, 0 if neither.
        seeds_agreeing: number of seeds with each of ``lower`` below each of ``upper``.
        seeds: number of seeds.
    """

    lower: tuple[str, ...]
    upper: tuple[str, ...]
    means: dict[str, float]
    verdict: int
    seeds_agreeing: int
    seeds: int

    def __str__(self) -> str:
        def listed(cells: Sequence[str]) -> str:
            return ", ".join(
                f"{cell} {self.means[cell]:.3g}"
                if math.isfinite(self.means[cell])
                else f"{cell} diverged"
                for cell in cells
            )

        lower, upper = " and ".join(self.lower), " and ".join(self.upper)
        found = {
            1: f"{lower} are below {upper}",
            -1: f"{lower} are above {upper}",
            0: f"{lower} are not all on one side of {upper}",
        }[self.verdict]
        return (
            f"{found} ({listed(self.lower)}; {listed(self.upper)}); "
            f"below in {self.seeds_agreeing} of {self.seeds} seeds"
        )


def compare(
    results: Sequence[RunResult], task: Task, lower: Sequence[str], upper: Sequence[str]
) -> Comparison | None:
    """Compare two groups of cells on a task, seed by seed.

    Returns:
        ``None`` if one of the cells was not run on the task.
    """
    scores: dict[str, dict[int, float]] = {}
    for result in results:
        if result.config.task == task:
            score = math.inf if result.test_score is None else result.test_score
            scores.setdefault(result.config.cell, {})[result.config.seed] = score
    if any(cell not in scores for cell in (*lower, *upper)):
        return None
    means = {cell: fmean(scores[cell].values()) for cell in (*lower, *upper)}
    seeds = set.intersection(*(set(scores[cell]) for cell in (*lower, *upper)))
    below = max(means[cell] for cell in lower) < min(means[cell] for cell in upper)
    above = min(means[cell] for cell in lower) > max(means[cell] for cell in upper)
    return Comparison(
        lower=tuple(lower),
        upper=tuple(upper),
        means=means,
        verdict=int(below) - int(above),
        seeds_agreeing=sum(
            max(scores[cell][seed] for cell in lower) < min(scores[cell][seed] for cell in upper)
            for seed in seeds
        ),
        seeds=len(seeds),
    )


def mean_curve(results: Sequence[RunResult]) -> list[tuple[int, float, float]]:
    """Step, mean validation score and standard error, over the runs that came so far.

    The error is 0 where it is not known, at a step that one run alone has come to.
    """
    by_step: dict[int, list[float]] = {}
    for result in results:
        for step, score in result.curve:
            by_step.setdefault(step, []).append(score)
    return [
        (step, fmean(scores), standard_error(scores) or 0.0)
        for step, scores in sorted(by_step.items())
    ]


def first_below(results: Sequence[RunResult], threshold: float) -> int | None:
    """The first step at which the mean validation score is below the threshold, if any."""
    return next((step for step, mean, _ in mean_curve(results) if mean < threshold), None)
