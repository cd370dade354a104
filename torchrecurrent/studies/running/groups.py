"""The runs in a folder of results, by setting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..tasks.registry import STUDIES
from .machine import describe_runs
from .records import RunConfig, RunResult
from .store import StudyError, read_json, read_result
from .study import run_folder, setting_key

__all__ = ["Group", "load", "series"]


@dataclass(frozen=True)
class Group:
    """The runs of one setting of a study, which differ in cell and seed.

    Attributes:
        study: the study's name.
        preset: the preset of the setting.
        results: results of the finished runs, by cell, the study's own cells first.
        unfinished: the number of unfinished runs.
        made: when, with which versions and where the runs were started, in words.
    """

    study: str
    preset: str
    results: tuple[RunResult, ...]
    unfinished: int
    made: str

    @property
    def config(self) -> RunConfig:
        """The configuration of one of the runs."""
        return self.results[0].config

    @property
    def key(self) -> str:
        """Its name in file names."""
        return f"{self.preset}-{setting_key(self.config)}"

    @property
    def title(self) -> str:
        """The study and its setting."""
        task = self.config.task.name
        shape = f"{self.config.num_layers} x {self.config.hidden_size} units"
        return f"{task[0].upper()}{task[1:]}, {shape}"

    def of(self, cell: str) -> list[RunResult]:
        """Return the runs of one cell."""
        return [each for each in self.results if each.config.cell == cell]

    @property
    def cells(self) -> list[str]:
        """The cells in the order in which they are shown."""
        return list(dict.fromkeys(each.config.cell for each in self.results))


def series(group: Group, cell: str) -> dict[int, list[float]]:
    """Return the scores of a cell's runs on the further test sets; diverged runs have none."""
    found: dict[int, list[float]] = {}
    for result in group.of(cell):
        for at, score in result.series.items():
            found.setdefault(at, []).append(score)
    return found


def load(out: Path, studies: Sequence[str] = ()) -> list[Group]:
    """Return all runs under a folder of results, by setting, in the registry's order.

    Args:
        out: the folder given as ``--out``.
        studies: names of studies; by default all.

    Raises:
        StudyError: if there are no runs, or a file is corrupt.
    """
    groups: list[Group] = []
    for name in studies or STUDIES:
        for preset in STUDIES[name].presets:
            groups += _load(out, name, preset)
    if not groups:
        what = f" of {', '.join(studies)}" if studies else ""
        raise StudyError(f"no finished run{what} in {out}; make one with: torchrecurrent study run")
    return groups


def _load(out: Path, name: str, preset: str) -> list[Group]:
    finished: dict[str, list[RunResult]] = {}
    made: dict[str, list[Mapping[str, Any]]] = {}
    unfinished: dict[str, int] = {}
    for path in sorted((out / name / preset).glob("*/*/*/config.json")):
        stored = read_json(path)
        try:
            config = STUDIES[name].config(stored["config"])
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, StudyError):
                raise
            raise StudyError(
                f"{path} is no configuration of {name} ({error}); move {path.parent} away"
            ) from error
        if run_folder(out, name, preset, config) != path.parent:
            raise StudyError(
                f"{path.parent} is of another configuration than its name says; move it away"
            )
        key = setting_key(config)
        if (path.parent / "result.json").exists():
            finished.setdefault(key, []).append(read_result(path.parent, config))
            made.setdefault(key, []).append(stored)
        else:
            unfinished[key] = unfinished.get(key, 0) + 1
    cells = list(STUDIES[name].cells)

    def place(result: RunResult) -> tuple[int, str, int]:
        cell = result.config.cell
        return cells.index(cell) if cell in cells else len(cells), cell, result.config.seed

    groups = [
        Group(
            name,
            preset,
            tuple(sorted(results, key=place)),
            unfinished.get(key, 0),
            describe_runs(made[key]),
        )
        for key, results in finished.items()
    ]
    return sorted(groups, key=lambda g: (g.config.num_layers, g.config.task.longest, g.title))
