"""Summarises the runs of a sweep: means, standard errors and curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from ..running.records import RunResult
from ..tasks.task import Task

__all__ = [
    "Summary",
    "first_below",
    "mean_curve",
    "standard_error",
    "summarize",
]


def standard_error(values: Sequence[float]) -> float | None:
    """Return the standard error of the mean, std(ddof=1) / sqrt(n); ``None`` below two values."""
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
        mean: mean of the scores; ``None`` if there are none.
        error: standard error of the mean; ``None`` for fewer than two scores.
        steps_per_second: mean over the runs that took a step.
        solved: how many test scores are beyond the task's threshold.
        solved_at: each run's first step with a validation score beyond it; infinite if none has.
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
        """Return the fields as plain values."""
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
    """Return a summary for each task and cell, in the order in which they first appear."""
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


def mean_curve(results: Sequence[RunResult]) -> list[tuple[int, float, float]]:
    """Return step, mean validation score and standard error, over the runs that got so far.

    The error is 0 at a step that only one run reached, where it is unknown.
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
    """Return the first step at which the mean validation score is below the threshold, if any."""
    return next((step for step, mean, _ in mean_curve(results) if mean < threshold), None)
