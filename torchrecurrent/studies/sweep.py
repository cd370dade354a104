"""Many runs in worker processes, one torch thread each, with progress over all of them."""

from __future__ import annotations

import multiprocessing
import multiprocessing.queues
import queue
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import TypeAlias

import torch
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from .training import RunConfig, RunResult, run

__all__ = ["sweep"]

#: Which run, and how many steps it has taken.
StepReports: TypeAlias = "multiprocessing.queues.Queue[tuple[int, int]]"

REPORT_SECONDS = 0.25

_reports: StepReports | None = None


def sweep(configs: Sequence[RunConfig], jobs: int, console: Console) -> list[RunResult]:
    """Run all, the longest first.

    Shows bars with the time left if the console is a terminal, else a line for each run
    that ends. On Ctrl-C the workers are ended at once.

    Args:
        configs: what to run.
        jobs: number of worker processes.
        console: where progress is shown.

    Returns:
        The results in the order of ``configs``.

    Raises:
        ValueError: ``jobs`` is not positive, or a configuration is refused by its run.
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    if jobs < 1:
        raise ValueError(f"jobs: expected at least 1, got {jobs}")
    if not configs:
        return []
    display: _Lines | _Bars = (
        _Bars(configs, console) if console.is_terminal else _Lines(configs, console)
    )
    context = multiprocessing.get_context("spawn")
    reports: StepReports = context.Queue()
    others = set(multiprocessing.active_children())
    executor = ProcessPoolExecutor(
        min(jobs, len(configs)), context, initializer=_start_worker, initargs=(reports,)
    )
    order = sorted(range(len(configs)), key=lambda k: -configs[k].work)
    try:
        with display:
            with _interrupts_held_back():
                futures = {executor.submit(_work, k, configs[k]): k for k in order}
            results = _collect(futures, reports, display)
    except BaseException:
        for worker in set(multiprocessing.active_children()) - others:
            worker.terminate()
        raise
    finally:
        executor.shutdown(cancel_futures=True)
        reports.close()
    return [results[k] for k in range(len(configs))]


def _collect(
    futures: dict[Future[RunResult], int], reports: StepReports, display: _Lines | _Bars
) -> dict[int, RunResult]:
    results: dict[int, RunResult] = {}
    while len(results) < len(futures):
        try:
            index, steps = reports.get(timeout=REPORT_SECONDS)
            if index not in results:
                display.steps(index, steps)
        except queue.Empty:
            pass
        for future, index in futures.items():
            if future.done() and index not in results:
                results[index] = future.result()
                display.finished(index, results[index])
    return results


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Start processes that Ctrl-C does not reach.

    A terminal sends it to all of them, and each would print a trace. They inherit the
    signal mask, so they are deaf to it from their first instruction on; the parent gets
    what came meanwhile at the end.
    """
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker(reports: StepReports) -> None:
    global _reports
    _reports = reports
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where there is no mask to inherit
    torch.set_num_threads(1)  # the processes share the cores


def _work(index: int, config: RunConfig) -> RunResult:
    return run(config, _reporter(index))


def _reporter(index: int) -> Callable[[], None]:
    """Counts steps and tells the parent now and then."""
    count = 0
    told = 0.0

    def on_step() -> None:
        nonlocal count, told
        count += 1
        now = time.monotonic()
        if _reports is not None and now - told >= REPORT_SECONDS:
            told = now
            _reports.put((index, count))

    return on_step


def _title(config: RunConfig) -> str:
    return f"{config.task.name}, {config.cell}, seed {config.seed}"


class _Lines:
    """A line for each run that ends, for logs."""

    def __init__(self, configs: Sequence[RunConfig], console: Console) -> None:
        self._configs = configs
        self._console = console
        self._ended = 0

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exception: object) -> None:
        pass

    def steps(self, index: int, steps: int) -> None:
        pass

    def finished(self, index: int, result: RunResult) -> None:
        self._ended += 1
        score = result.test_score
        outcome = (
            f"diverged at step {result.steps_done}"
            if score is None
            else f"test {result.config.task.measure} {score:.4f}"
        )
        line = f"{self._ended}/{len(self._configs)} {_title(result.config)}: {outcome}"
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


class _Bars:
    """A bar for the whole, and one for each run under way.

    The whole is measured in cell updates, so that long sequences count for what they cost.
    """

    def __init__(self, configs: Sequence[RunConfig], console: Console) -> None:
        self._configs = configs
        self._rows: dict[int, TaskID] = {}
        self._done: dict[int, int] = {}
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            speed_estimate_period=120,
        )
        self._whole = self._progress.add_task("", total=sum(each.work for each in configs))
        self._ended = 0
        self._describe()

    def __enter__(self) -> None:
        self._progress.start()

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    def steps(self, index: int, steps: int) -> None:
        config = self._configs[index]
        if index not in self._rows:
            self._rows[index] = self._progress.add_task(f"  {_title(config)}", total=config.work)
        self._to(index, steps * config.work_per_step)

    def finished(self, index: int, result: RunResult) -> None:
        # A run that diverged is over all the same.
        self._to(index, self._configs[index].work)
        if index in self._rows:
            self._progress.remove_task(self._rows.pop(index))
        self._ended += 1
        self._describe()

    def _to(self, index: int, work: int) -> None:
        if index in self._rows:
            self._progress.update(self._rows[index], completed=work)
        self._progress.advance(self._whole, work - self._done.get(index, 0))
        self._done[index] = work

    def _describe(self) -> None:
        self._progress.update(
            self._whole, description=f"{self._ended} of {len(self._configs)} runs"
        )
