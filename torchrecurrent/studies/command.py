"""Carries out ``torchrecurrent study``."""

from __future__ import annotations

import argparse
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from rich.console import Console

from ..catalog.listing import cells as catalog
from ..catalog.listing import layer_of
from .reporting.study_report import write_report
from .running.groups import load
from .running.models import LAYERS, build_layer, full_name
from .running.places import Place, leads, place
from .running.records import RunConfig
from .running.store import StudyError, status
from .running.study import RUN_KEYS, run_folder, setting_key
from .running.sweep import SweepError
from .running.training import Training
from .tasks.registry import STUDIES, study

__all__ = ["main"]

_COLUMNS = 80


@dataclass(frozen=True)
class Planned:
    """A run and its folder."""

    study: str
    preset: str
    config: RunConfig
    folder: Path


def main(options: argparse.Namespace) -> int:
    """Carry out the command line; return the exit status."""
    console = Console(quiet=not leads())
    try:
        if options.action == "list":
            _list(console)
            return 0
        if options.action == "run":
            return _run(options, console)
        chosen = [study(name).name for name in options.studies]
        _check_folder(options.out, write=options.out.is_dir())
        if options.action == "report":
            _say(console, write_report(options.out, chosen))
        else:
            _plot(options.out, chosen, console)
    except StudyError as error:
        if leads():
            print(f"torchrecurrent study {options.action}: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        _say(console, "Stopped; the same command goes on from here.")
        return 130
    return 0


def _list(console: Console) -> None:
    for each in STUDIES.values():
        _say(console, f"{each.name}: {each.about}")
        settings = each.keys()
        own = [key for key in settings if key not in RUN_KEYS]
        for label, names in (
            ("from", [each.source]),
            ("cells", each.cells),
            ("can be set", own),
        ):
            _say(console, _wrapped(f"{label}: {', '.join(names)}", "  "))
    _say(console, _wrapped(f"can be set in every study: {', '.join(RUN_KEYS)}"))


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(
        text,
        _COLUMNS,
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_on_hyphens=False,
    )


def _plot(out: Path, chosen: Sequence[str], console: Console) -> None:
    # Not above: the workers import this module too, and would import matplotlib for nothing.
    from .reporting.figure import draw_group

    for group in load(out, chosen):
        for path in draw_group(group, out / "figures" / group.key):
            _say(console, str(path))


def _run(options: argparse.Namespace, console: Console) -> int:
    planned = _plan(options, console)
    _check_folder(options.out, write=not options.dry_run)
    with place(options.jobs, options.dask, [each.config for each in planned]) as where:
        return _run_there(planned, where, options.dry_run, console)


def _check_folder(out: Path, write: bool) -> None:
    """Raise StudyError if ``out`` can't be the folder; to ``write``, make it and try."""
    try:
        there = next(each for each in (out, *out.absolute().parents) if each.exists())
        if not there.is_dir():
            raise StudyError(f"out: expected a folder, got the file {str(there)!r}")
        if write:
            out.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=out).close()
    except OSError as error:
        raise StudyError(f"out: cannot write in {str(out)!r}: {error.strerror}") from error


def _check_device(device: str) -> None:
    """Raise ValueError if nothing can be computed on ``device``."""
    try:
        torch.zeros(1, device=device)
    except (AssertionError, RuntimeError) as error:
        reason = str(error).partition("\n")[0].rstrip(". ")
        raise ValueError(f"device: {device!r} cannot be used here: {reason}") from error


def _run_there(planned: Sequence[Planned], where: Place, dry_run: bool, console: Console) -> int:
    begun = where.first(lambda: [status(each.folder, each.config) for each in planned])
    left = [each for each, state in zip(planned, begun, strict=True) if state != "over"]
    _say(
        console,
        f"{_runs(planned)}: {begun.count('over')} finished, {begun.count('begun')} started, "
        f"{begun.count('new')} new; {where.jobs} at a time.",
    )
    if dry_run:
        _estimate(left, where.jobs, console)
        return 0
    try:
        where.sweep([each.config for each in left], console, [each.folder for each in left])
    except SweepError as error:
        for failure in error.failures:
            print(f"{failure.config.title} failed:\n{failure.trace}", file=sys.stderr)
        return 1
    _say(console, f"{_runs(planned)} finished; see: torchrecurrent study report")
    return 0


def _plan(options: argparse.Namespace, console: Console) -> list[Planned]:
    """Return all runs, checked: errors are reported before anything is run.

    A cell that was not named explicitly is left out if it cannot be built.
    """
    studies = [study(name) for name in dict.fromkeys(options.studies)]
    cells = _cells(options.cells)
    named = _cells([name for name in options.cells if name != "all"])
    seeds = _seeds(options.seeds)
    settings = _settings(options.settings)
    planned = [
        Planned(
            each.name,
            options.preset,
            config,
            run_folder(options.out, each.name, options.preset, config),
        )
        for each in studies
        for config in each.plan(options.preset, cells, seeds, settings)
    ]
    for each in {setting_key(p.config): p.config for p in planned}.values():
        _try(each.title, partial(each.task.training, each.seed, each.batch_size))
        if options.dask is None:  # its workers may have what this machine has not
            _try(each.title, partial(_check_device, each.device))
    unfit: set[tuple[str, str]] = set()
    for key, each in {(setting_key(p.config), p.config.cell): p.config for p in planned}.items():
        try:
            _try(each.title, each.model)
        except StudyError as error:
            if "all" not in options.cells or each.cell in named:
                raise
            unfit.add(key)
            _say(console, f"Left out: {error}")
    return [p for p in planned if (setting_key(p.config), p.config.cell) not in unfit]


def _try(title: str, check: Callable[[], object]) -> None:
    try:
        check()
    except Exception as error:  # a user's cell may raise any
        raise StudyError(f"{title}: {error}") from error


def _cells(names: Sequence[str]) -> list[str]:
    found: list[str] = []
    for name in names:
        found += _all() if name == "all" else [name]
    try:
        found = [full_name(name) for name in found]
        for name in found:
            build_layer(name, 2, 2, 1)
    except ValueError as error:
        raise StudyError(str(error)) from error
    return list(dict.fromkeys(found))


def _all() -> list[str]:
    """Return every layer of the package, by an unambiguous name."""
    layers = [layer_of(each).__name__ for each in catalog().values()]
    return [f"torchrecurrent.{each}" if each in LAYERS else each for each in layers]


def _seeds(text: str) -> list[int]:
    try:
        first, dash, last = text.partition("-")
        if not text:
            return []
        seeds = list(range(int(first), int(last) + 1)) if dash else list(range(int(first)))
    except ValueError:
        seeds = []
    if not seeds:
        raise StudyError(f"seeds: expected a number of seeds, or first-last, got {text!r}")
    return seeds


def _settings(given: Sequence[str]) -> dict[str, str]:
    for each in given:
        if not each.partition("=")[2]:
            raise StudyError(f"set: expected KEY=VALUE, got {each!r}")
    return {key: text for key, _, text in (each.partition("=") for each in given)}


def _estimate(left: Sequence[Planned], jobs: int, console: Console) -> None:
    """Show the runs by setting and cell, with the time of a few steps times their number."""
    groups: dict[tuple[str, str], list[Planned]] = {}
    for each in left:
        groups.setdefault((setting_key(each.config), each.config.cell), []).append(each)
    whole = 0.0
    for members in groups.values():
        config = members[0].config
        seconds = len(members) * seconds_per_step(config) * config.steps
        whole += seconds
        _say(
            console,
            f"{config.task.name}, {config.num_layers} x {config.hidden_size}, {config.cell}: "
            f"{_runs(members)}, {seconds:.0f} s",
        )
    _say(console, f"About {whole / jobs / 60:.1f} minutes on {jobs} free cores.")


def seconds_per_step(config: RunConfig, probe_seconds: float = 0.3) -> float:
    """Return the mean duration of a few training steps after the first."""
    torch.set_num_threads(config.threads)
    training = Training(config)
    batch = config.task.typical(config.seed, config.batch_size)
    training.learn(batch)
    start = time.perf_counter()
    steps = 0
    while steps < 3 or time.perf_counter() - start < probe_seconds:
        training.learn(batch)
        steps += 1
    return (time.perf_counter() - start) / steps


def _runs(planned: Sequence[Planned]) -> str:
    return f"{len(planned)} run{'s' if len(planned) != 1 else ''}"


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
