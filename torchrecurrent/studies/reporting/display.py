"""Progress of a sweep: bars on a terminal, lines elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

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

from ..running.records import RunConfig, RunResult
from .numbers import decimals

__all__ = ["Bars", "Lines"]


class Failed(Protocol):
    """A run that raised an exception."""

    @property
    def message(self) -> str: ...


def _outcome(result: RunResult | Failed) -> str:
    if not isinstance(result, RunResult):
        return f"failed: {result.message}"
    if result.test_score is None:
        return f"diverged at step {result.steps_done}"
    return f"test {result.config.task.measure} {decimals(result.test_score)[0]}"


class Lines:
    """Prints a line for each run that ends, for logs."""

    def __init__(self, configs: Sequence[RunConfig], console: Console) -> None:
        self._configs = configs
        self._console = console
        self._ended = 0

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exception: object) -> None:
        pass

    def steps(self, index: int, steps: int) -> None:
        """Do nothing, so as not to flood the log."""

    def finished(self, index: int, result: RunResult | Failed) -> None:
        """Print the outcome of a run."""
        self._ended += 1
        title = self._configs[index].title
        line = f"{self._ended}/{len(self._configs)} {title}: {_outcome(result)}"
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


class Bars:
    """Shows a bar for the whole sweep, and one for each run in progress.

    The whole is measured in cell updates, so that long sequences count by their cost.
    """

    def __init__(self, configs: Sequence[RunConfig], console: Console) -> None:
        self._configs = configs
        self._rows: dict[int, TaskID] = {}
        self._done: dict[int, int] = {}
        self._over: set[int] = set()
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
        self._describe()

    def __enter__(self) -> None:
        self._progress.start()

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    def steps(self, index: int, steps: int) -> None:
        """Show the progress of a run."""
        config = self._configs[index]
        if index in self._over:
            return
        if index not in self._rows:
            self._rows[index] = self._progress.add_task(f"  {config.title}", total=config.work)
        self._to(index, steps * config.work_per_step)

    def finished(self, index: int, result: RunResult | Failed) -> None:
        """Show that a run has ended, at whatever step."""
        self._over.add(index)
        self._to(index, self._configs[index].work)
        if index in self._rows:
            self._progress.remove_task(self._rows.pop(index))
        if not isinstance(result, RunResult):
            self._progress.console.print(
                f"{self._configs[index].title}: {_outcome(result)}", markup=False, highlight=False
            )
        self._describe()

    def _to(self, index: int, work: int) -> None:
        if index in self._rows:
            self._progress.update(self._rows[index], completed=work)
        self._progress.advance(self._whole, work - self._done.get(index, 0))
        self._done[index] = work

    def _describe(self) -> None:
        self._progress.update(
            self._whole, description=f"{len(self._over)} of {len(self._configs)} runs"
        )
