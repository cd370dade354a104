"""A study: a task, the settings it is run with, and the claims of its sources."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import re
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ..tasks.task import Task
from .records import RunConfig
from .store import StudyError

__all__ = ["PRESETS", "RUN_KEYS", "SEEDS", "Study", "run_folder", "setting_key"]

PRESETS = ("smoke", "quick", "paper", "leaderboard")
#: The number of seeds of a preset.
SEEDS = {"smoke": 1, "quick": 3, "paper": 5, "leaderboard": 3}

_RUN_FIELDS = {
    field.name: field
    for field in dataclasses.fields(RunConfig)
    if field.name not in ("task", "cell", "seed")
}
#: The fields that can be set in every study.
RUN_KEYS = tuple(_RUN_FIELDS)


@dataclass(frozen=True)
class Study:
    """A study that ``torchrecurrent study`` can run.

    Attributes:
        name: its name.
        about: a description in one line.
        source: where it comes from.
        task: a class of tasks, a dataclass.
        cells: the cells that are run if none are named.
        presets: for some of ``PRESETS`` texts such as ``"length=5,100 steps=600"``, with fields
            of the task and of :class:`RunConfig`; all combinations of a text's values are run.
    """

    name: str
    about: str
    source: str
    task: type[Task]
    cells: tuple[str, ...]
    presets: Mapping[str, Sequence[str]]

    def keys(self) -> dict[str, Any]:
        """The fields that can be set, with their types."""
        task_hints, run_hints = get_type_hints(self.task), get_type_hints(RunConfig)
        own = {field.name: task_hints[field.name] for field in dataclasses.fields(self.task)}  # type: ignore[arg-type]
        return {**own, **{name: run_hints[name] for name in _RUN_FIELDS}}

    def plan(
        self,
        preset: str,
        cells: Sequence[str] = (),
        seeds: Sequence[int] = (),
        settings: Mapping[str, str] | None = None,
    ) -> list[RunConfig]:
        """Return the runs of a preset; with the same seed all cells get the same data.

        Args:
            preset: one of ``PRESETS``.
            cells: by default the study's.
            seeds: by default the first ``SEEDS`` of the preset.
            settings: values in place of the preset's, as text, separated by commas.

        Raises:
            StudyError: for an unknown preset or key, or a value out of range.
        """
        if preset not in self.presets:
            raise StudyError(
                f"preset: expected one of {', '.join(self.presets)} for {self.name}, got {preset!r}"
            )
        given = {key: self._parse(key, text) for key, text in (settings or {}).items()}
        grids = [
            {key: self._parse(key, value) for key, _, value in map(_halves, text.split())}
            for text in self.presets[preset]
        ]
        chosen = [
            dict(zip(grid, values, strict=True))
            for grid in ({**each, **given} for each in grids)
            for values in itertools.product(*grid.values())
        ]
        configs = [
            self._config(setting, cell, seed)
            for setting in chosen
            for cell in cells or self.cells
            for seed in seeds or range(SEEDS[preset])
        ]
        return list(dict.fromkeys(configs))  # a given value may make two settings equal

    def config(self, stored: Mapping[str, Any]) -> RunConfig:
        """Return the configuration that :meth:`RunConfig.to_dict` stored.

        Raises:
            KeyError, TypeError, ValueError: if ``stored`` is something else.
        """
        task = {key: value for key, value in stored["task"].items() if key != "name"}
        return RunConfig(**{**stored, "task": self.task(**task)})

    def _config(self, setting: Mapping[str, Any], cell: str, seed: int) -> RunConfig:
        run = {key: value for key, value in setting.items() if key in _RUN_FIELDS}
        try:
            task = self.task(**{k: v for k, v in setting.items() if k not in run})
            return RunConfig(task=task, cell=cell, seed=seed, **run)
        except ValueError as error:
            raise StudyError(f"{self.name}: {error}") from error

    def _parse(self, key: str, text: str) -> tuple[Any, ...]:
        keys = self.keys()
        if key not in keys:
            raise StudyError(f"set: {self.name} has no {key!r}; expected one of {', '.join(keys)}")
        return tuple(_value(key, each.strip(), keys[key]) for each in text.split(","))


def _halves(text: str) -> tuple[str, str, str]:
    return text.partition("=")


def _value(key: str, text: str, hint: Any) -> Any:
    """Convert text to a value of a type: a plain one, a Literal, or one of these or None."""
    if get_origin(hint) is Literal:
        if text in get_args(hint):
            return text
        raise StudyError(f"set: {key} should be one of {', '.join(get_args(hint))}, got {text!r}")
    if get_origin(hint) in (Union, types.UnionType):
        (inner,) = (each for each in get_args(hint) if each is not type(None))
        return None if text == "none" else _value(key, text, inner)
    if hint is bool:
        if text in ("true", "false"):
            return text == "true"
        raise StudyError(f"set: {key} should be true or false, got {text!r}")
    try:
        return hint(text)
    except ValueError as error:
        raise StudyError(f"set: {key} should be of type {hint.__name__}, got {text!r}") from error


def setting_key(config: RunConfig) -> str:
    """Return a short text that is equal for two runs that differ only in cell and seed."""
    kept = {key: value for key, value in config.chosen().items() if key not in ("cell", "seed")}
    digest = hashlib.blake2b(json.dumps(kept, sort_keys=True).encode(), digest_size=4)
    return f"{_slug(config.task.name)}-{digest.hexdigest()}"


def run_folder(out: Path, study: str, preset: str, config: RunConfig) -> Path:
    """Return the folder of a run."""
    cell = re.sub(r"[^\w.-]+", "-", config.cell)
    return out / study / preset / setting_key(config) / cell / f"seed-{config.seed}"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
