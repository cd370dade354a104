"""What the runs in a folder of results come to, as Markdown and as CSV."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

from .records import RunConfig, RunResult
from .registry import STUDIES
from .store import StudyError, atomic_path, read_json, read_result
from .study import run_folder, setting_key
from .summary import Summary, standard_error, summarize

__all__ = ["Group", "load", "write_report"]


@dataclass(frozen=True)
class Group:
    """The runs of one setting of a study, which differ in cell and seed.

    Attributes:
        study: the study's name.
        preset: where the setting came from.
        results: of the runs that are over.
        unfinished: how many are not.
    """

    study: str
    preset: str
    results: tuple[RunResult, ...]
    unfinished: int

    @property
    def config(self) -> RunConfig:
        """One of them."""
        return self.results[0].config

    @property
    def title(self) -> str:
        """The study, and what it was run with."""
        task = self.config.task.name
        shape = f"{self.config.num_layers} x {self.config.hidden_size} units"
        return f"{task[0].upper()}{task[1:]}, {shape}"


def load(out: Path, studies: Sequence[str] = ()) -> list[Group]:
    """All runs under a folder of results, by setting, in the registry's order.

    Args:
        out: what ``--out`` was.
        studies: names; left out, all.

    Raises:
        StudyError: nothing was run there, or a file is corrupt.
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
    unfinished: dict[str, int] = {}
    for path in sorted((out / name / preset).glob("*/*/*/config.json")):
        try:
            config = STUDIES[name].config(read_json(path)["config"])
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
        else:
            unfinished[key] = unfinished.get(key, 0) + 1
    cells = list(STUDIES[name].cells)

    def place(result: RunResult) -> tuple[int, str, int]:
        cell = result.config.cell
        return cells.index(cell) if cell in cells else len(cells), cell, result.config.seed

    groups = [
        Group(name, preset, tuple(sorted(results, key=place)), unfinished.get(key, 0))
        for key, results in finished.items()
    ]
    return sorted(groups, key=lambda g: (g.config.num_layers, g.config.task.longest, g.title))


def write_report(out: Path, studies: Sequence[str] = ()) -> str:
    """Write ``report.md``, ``summary.csv``, ``runs.csv`` and ``series.csv``; the Markdown.

    Raises:
        StudyError: as :func:`load`.
    """
    groups = load(out, studies)
    text = "\n".join(_section(each) for each in groups)
    with atomic_path(out / "report.md") as unfinished:
        unfinished.write_text(text, encoding="utf-8")
    _write_csv(out / "summary.csv", (row for each in groups for row in _summary_rows(each)))
    _write_csv(out / "runs.csv", (row for each in groups for row in _run_rows(each)))
    _write_csv(out / "series.csv", (row for each in groups for row in _series_rows(each)))
    return text


def _write_csv(path: Path, rows: Iterable[dict[str, object]]) -> None:
    listed = list(rows)
    with atomic_path(path) as unfinished, unfinished.open("w", newline="") as file:
        if listed:
            writer = csv.DictWriter(file, list(listed[0]))
            writer.writeheader()
            writer.writerows(listed)


def _section(group: Group) -> str:
    config, task = group.config, group.config.task
    lines = [f"## {group.title}", ""]
    clip = f", gradient clipped at {config.clip:g}" if config.clip else ""
    lines.append(
        f"Study {group.study}, preset {group.preset}: {config.steps} steps of "
        f"{config.batch_size}, Adam {config.learning_rate:g}{clip}. Baseline "
        f"({task.baseline_name}): {_number(task.baseline, group)}. Solved: test {task.measure} "
        f"{'at least' if task.higher_is_better else 'below'} {_number(task.threshold, group)}; "
        "steps to it on the validation set, median [lowest, highest]."
    )
    if group.unfinished:
        lines.append(f"**{group.unfinished} runs are not finished and not counted.**")
    header = (
        "cell",
        "parameters",
        f"test {task.measure}, mean ± SE (n)",
        "solved",
        "steps to solve",
        "diverged",
        "steps/s",
    )
    rows = [_row(each, group) for each in summarize(group.results)]
    lines += ["", _line(header), _line(["---"] * len(header)), *map(_line, rows), ""]
    return "\n".join(lines)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _row(summary: Summary, group: Group) -> list[str]:
    score = "-" if summary.mean is None else _number(summary.mean, group)
    if summary.error is not None:
        score += f" ± {_number(summary.error, group)}"
    return [
        summary.cell,
        f"{summary.parameters:,}",
        f"{score} ({len(summary.scores)})",
        f"{summary.solved}/{summary.runs}",
        _steps(summary.solved_at, group.config.steps),
        f"{summary.diverged}/{summary.runs}",
        "-" if summary.steps_per_second is None else f"{summary.steps_per_second:.1f}",
    ]


def _number(value: float, group: Group) -> str:
    return f"{100 * value:.2f} %" if group.config.task.higher_is_better else f"{value:.4f}"


def _steps(solved_at: Sequence[float], steps: int) -> str:
    """Median and range; a run that never came there counts as longer than any."""

    def shown(at: float) -> str:
        return f"{at:.0f}" if math.isfinite(at) else f"> {steps}"

    if not any(map(math.isfinite, solved_at)):
        return f"> {steps}"
    if len(solved_at) == 1:
        return shown(solved_at[0])
    return f"{shown(median(solved_at))} [{shown(min(solved_at))}, {shown(max(solved_at))}]"


def _setting(group: Group) -> dict[str, object]:
    return {"study": group.study, "preset": group.preset, "setting": group.title}


def _summary_rows(group: Group) -> Iterable[dict[str, object]]:
    for each in summarize(group.results):
        finite = [at for at in each.solved_at if math.isfinite(at)]
        yield {
            **_setting(group),
            "cell": each.cell,
            "parameters": each.parameters,
            "measure": each.task.measure,
            "n": len(each.scores),
            "mean": each.mean,
            "standard_error": each.error,
            "baseline": each.task.baseline,
            "threshold": each.task.threshold,
            "runs": each.runs,
            "solved": each.solved,
            "diverged": each.diverged,
            "reached": len(finite),
            "median_steps": median(each.solved_at) if each.solved_at else None,
            "steps": group.config.steps,
            "steps_per_second": each.steps_per_second,
        }


def _run_rows(group: Group) -> Iterable[dict[str, object]]:
    for each in group.results:
        yield {
            **_setting(group),
            "cell": each.config.cell,
            "seed": each.config.seed,
            "status": each.status,
            "parameters": each.parameters,
            "measure": each.config.task.measure,
            "test": each.test_score,
            "last_validation": each.curve[-1][1] if each.curve else None,
            "solved_at": each.solved_at,
            "steps_done": each.steps_done,
            "train_seconds": each.train_seconds,
            "steps_per_second": each.steps_per_second,
        }


def _series_rows(group: Group) -> Iterable[dict[str, object]]:
    for cell in dict.fromkeys(each.config.cell for each in group.results):
        own = [each.series for each in group.results if each.config.cell == cell and each.series]
        for key in own[0] if own else ():
            scores = [each[key] for each in own]
            yield {
                **_setting(group),
                "cell": cell,
                "at": key,
                "n": len(scores),
                "mean": fmean(scores),
                "standard_error": standard_error(scores),
            }
