"""Executes several runs at a time in processes of this machine, and shows their progress."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

from joblib import Parallel, delayed
from rich.console import Console

from ..reporting.display import Bars, Lines
from .records import RunConfig, RunResult
from .store import kept_run

__all__ = ["Failure", "Outcome", "SweepError", "attempt", "follow", "longest_first", "sweep"]

REPORT_SECONDS = 0.25


@dataclass(frozen=True)
class Failure:
    """A run that raised an exception.

    Attributes:
        config: the configuration of the run.
        message: the exception on one line.
        trace: where it was raised.
    """

    config: RunConfig
    message: str
    trace: str


#: The number of a run, and its outcome.
Outcome: TypeAlias = tuple[int, RunResult | Failure]


class SweepError(RuntimeError):
    """Raised if some runs raised an exception, once the others have ended."""

    def __init__(self, failures: Sequence[Failure]) -> None:
        first = failures[0]
        super().__init__(
            f"{len(failures)} runs failed, the first of them {first.config.title}: {first.message}"
        )
        self.failures = tuple(failures)


def sweep(
    configs: Sequence[RunConfig],
    jobs: int,
    console: Console,
    folders: Sequence[Path] | None = None,
) -> list[RunResult]:
    """Run all, the longest first.

    Shows bars with the time left if the console is a terminal, else a line for each run
    that ends. A run that raises does not stop the others.

    Args:
        configs: what to run.
        jobs: number of runs at a time; -1: as many as the backend has workers.
        console: where progress is shown.
        folders: the folder of each run, see
            :func:`~torchrecurrent.studies.running.store.kept_run`; by default nothing is kept.

    Returns:
        The results in the order of ``configs``.

    Raises:
        ValueError: if ``jobs`` is neither positive nor -1.
        SweepError: if runs raised exceptions.
        KeyboardInterrupt: if Ctrl-C was pressed.
    """
    if jobs < 1 and jobs != -1:
        raise ValueError(f"jobs: expected at least 1, got {jobs}")
    if not configs:
        return []
    with tempfile.TemporaryDirectory() as passing:
        if folders is None:
            folders = [Path(passing) / str(k) for k in range(len(configs))]
        return _sweep(configs, jobs, console, folders)


def _sweep(
    configs: Sequence[RunConfig],
    jobs: int,
    console: Console,
    folders: Sequence[Path],
) -> list[RunResult]:
    calls = (delayed(_work)(k, folders[k], configs[k], os.getpid()) for k in longest_first(configs))
    parallel = Parallel(
        n_jobs=min(jobs, len(configs)),
        return_as="generator_unordered",
        batch_size=1,  # runs are long
        max_nbytes=None,
    )
    with warnings.catch_warnings():
        # Between two runs joblib replaces a worker whose memory has grown, and warns about it.
        warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
        return follow(parallel(calls), configs, console, folders)


def longest_first(configs: Sequence[RunConfig]) -> list[int]:
    """Return the order in which the last run to end is alone for the least time."""
    return sorted(range(len(configs)), key=lambda k: -configs[k].work)


def follow(
    outcomes: Iterator[Outcome],
    configs: Sequence[RunConfig],
    console: Console,
    folders: Sequence[Path],
) -> list[RunResult]:
    """Show the progress of runs until all have ended.

    Args:
        outcomes: the outcomes of all runs, in the order in which they end.
        configs: the runs.
        console: where progress is shown.
        folders: the folder of each run, where it writes its progress.

    Returns:
        The results in the order of ``configs``.

    Raises:
        SweepError: if runs raised exceptions.
    """
    display = Bars(configs, console) if console.is_terminal else Lines(configs, console)
    results: dict[int, RunResult] = {}
    failures: list[Failure] = []
    over = threading.Event()
    lock = threading.Lock()
    watcher = threading.Thread(target=_watch, args=(folders, display, lock, over), daemon=True)
    with display:
        watcher.start()
        try:
            for index, outcome in outcomes:
                if isinstance(outcome, RunResult):
                    results[index] = outcome
                else:
                    failures.append(outcome)
                with lock:
                    display.finished(index, outcome)
        finally:
            over.set()
            watcher.join()
    if failures:
        raise SweepError(failures)
    return [results[k] for k in range(len(configs))]


def attempt(index: int, config: RunConfig, make: Callable[[], RunResult]) -> Outcome:
    """Return the outcome of a run, including an exception."""
    try:
        return index, make()
    except Exception as error:  # a user's cell may raise any
        message = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        return index, Failure(config, message, traceback.format_exc())


def _work(index: int, folder: Path, config: RunConfig, parent: int) -> Outcome:
    if threading.current_thread() is threading.main_thread() and os.getpid() != parent:
        # A terminal sends Ctrl-C to all processes; the parent ends the workers.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return attempt(index, config, partial(kept_run, folder, config))


def _watch(
    folders: Sequence[Path], display: Bars | Lines, lock: threading.Lock, over: threading.Event
) -> None:
    """Read the progress of the runs, which write it to the same files in any place."""
    while not over.wait(REPORT_SECONDS):
        for index, folder in enumerate(folders):
            try:
                steps = int((folder / "progress").read_text())
            except (OSError, ValueError):  # not started, finished, or being written
                continue
            with lock:
                display.steps(index, steps)
