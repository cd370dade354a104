"""Places the cells by their scores on each task."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from statistics import fmean, median

from ..running.groups import Group
from ..running.store import atomic_path
from ..tasks.registry import STUDIES
from .summary import summarize

__all__ = ["Entry", "mean_places", "place", "read", "write"]


@dataclass(frozen=True)
class Entry:
    """One cell on one task.

    Attributes:
        study: the study's name.
        setting: the task and the size of the model.
        layer: the name of the cell's layer.
        place: 1 is the best mean score. Cells with a run that diverged come after all others.
        measure: what the score is.
        mean: of the test scores; ``None`` if all runs diverged.
        error: standard error of the mean.
        runs: number of runs.
        diverged: how many of them diverged.
        solved: how many test scores are beyond the task's threshold; ``None``: it has none.
        steps_to_solve: the median over the runs; ``None`` if most did not get there.
        parameters: number of trained values.
        milliseconds: processor time of a training step; ``None``: not measured.
        steps: of a run.
        baseline: the score of the best answer that does not look at the input.
    """

    study: str
    setting: str
    layer: str
    place: int
    measure: str
    mean: float | None
    error: float | None
    runs: int
    diverged: int
    solved: int | None
    steps_to_solve: float | None
    parameters: int
    milliseconds: float | None
    steps: int
    baseline: float

    @property
    def higher_is_better(self) -> bool:
        return STUDIES[self.study].task.higher_is_better

    @property
    def seconds(self) -> float | None:
        """Processor time of the training of a run."""
        return None if self.milliseconds is None else self.milliseconds * self.steps / 1000


def place(
    groups: Sequence[Group],
    times: Mapping[tuple[str, str], float],
    known: Iterable[Entry] = (),
) -> list[Entry]:
    """Return all entries, task by task and in each by place.

    Args:
        groups: the settings, one of a study.
        times: milliseconds of a training step, by study and layer.
        known: entries of earlier runs, for layers that have none in the groups.

    Raises:
        ValueError: known entries of another setting.
    """
    found: dict[str, dict[str, Entry]] = {}
    for each in known:
        timed = times.get((each.study, each.layer))
        found.setdefault(each.study, {})[each.layer] = replace(each, milliseconds=timed)
    for group in groups:
        entries = found.setdefault(group.study, {})
        other = next((each for each in entries.values() if each.setting != group.title), None)
        if other is not None:
            raise ValueError(
                f"{group.study}: expected runs of the setting {other.setting!r}, as those of "
                f"{other.layer} were, got {group.title!r}"
            )
        entries |= {each.layer: each for each in _entries(group, times)}
    return [each for entries in found.values() for each in _placed(list(entries.values()))]


def _entries(group: Group, times: Mapping[tuple[str, str], float]) -> list[Entry]:
    task, config = group.config.task, group.config
    found = []
    for each in summarize(group.results):
        steps = median(each.solved_at)
        layer = each.cell.removeprefix("torchrecurrent.")
        found.append(
            Entry(
                study=group.study,
                setting=group.title,
                layer=layer,
                place=0,
                measure=task.measure,
                mean=each.mean,
                error=each.error,
                runs=each.runs,
                diverged=each.diverged,
                solved=None if task.threshold is None else each.solved,
                steps_to_solve=steps if math.isfinite(steps) else None,
                parameters=each.parameters,
                milliseconds=times.get((group.study, layer)),
                steps=config.steps,
                baseline=task.baseline,
            )
        )
    return found


def _placed(entries: Sequence[Entry]) -> list[Entry]:
    def worth(each: Entry) -> tuple[bool, float]:
        mean = math.inf if each.mean is None else each.mean
        return each.diverged > 0, -mean if each.higher_is_better and each.mean is not None else mean

    ordered = sorted(entries, key=worth)
    values = [worth(each) for each in ordered]
    # Equal scores share a place.
    return [replace(each, place=1 + values.index(worth(each))) for each in ordered]


def mean_places(entries: Iterable[Entry]) -> dict[str, float]:
    """Return the mean place of each layer that is on every task, the best first."""
    places: dict[str, dict[str, int]] = {}
    tasks = set()
    for each in entries:
        tasks.add(each.study)
        places.setdefault(each.layer, {})[each.study] = each.place
    means = {
        layer: fmean(found.values()) for layer, found in places.items() if found.keys() == tasks
    }
    return dict(sorted(means.items(), key=lambda item: item[1]))


def write(path: Path, entries: Sequence[Entry]) -> None:
    """Write entries as CSV."""
    names = [field.name for field in fields(Entry)]
    with atomic_path(path) as unfinished, unfinished.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([_text(getattr(each, name)) for name in names] for each in entries)


def _text(value: float | str | None) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else str(value)


def read(path: Path) -> list[Entry]:
    """Return the entries that :func:`write` wrote."""

    def number(text: str) -> float | None:
        return float(text) if text else None

    with path.open(newline="") as file:
        return [
            Entry(
                study=row["study"],
                setting=row["setting"],
                layer=row["layer"],
                place=int(row["place"]),
                measure=row["measure"],
                mean=number(row["mean"]),
                error=number(row["error"]),
                runs=int(row["runs"]),
                diverged=int(row["diverged"]),
                solved=int(row["solved"]) if row["solved"] else None,
                steps_to_solve=number(row["steps_to_solve"]),
                parameters=int(row["parameters"]),
                milliseconds=number(row["milliseconds"]),
                steps=int(row["steps"]),
                baseline=float(row["baseline"]),
            )
            for row in csv.DictReader(file)
        ]
