"""Places that execute runs: processes of this machine, a Dask cluster, processes of torchrun."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from rich.console import Console

from .records import RunConfig, RunResult
from .store import StudyError
from .sweep import sweep

__all__ = ["Place", "leads", "place"]

T = TypeVar("T")


class Place(Protocol):
    """Executes runs.

    Attributes:
        jobs: number of runs at a time.
    """

    jobs: int

    def first(self, make: Callable[[], T]) -> T:
        """Call ``make`` once, even if several processes ask for it; all get the result."""
        ...

    def sweep(
        self, configs: Sequence[RunConfig], console: Console, folders: Sequence[Path]
    ) -> list[RunResult]:
        """Run all, like :func:`~torchrecurrent.studies.running.sweep.sweep`."""
        ...


class Here:
    """Executes runs in processes of this machine."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs

    def first(self, make: Callable[[], T]) -> T:
        return make()

    def sweep(
        self, configs: Sequence[RunConfig], console: Console, folders: Sequence[Path]
    ) -> list[RunResult]:
        return sweep(configs, self.jobs, console, folders)


def leads() -> bool:
    """Whether this process speaks for all processes that torchrun started."""
    return not _launched() or os.environ.get("RANK", "0") == "0"


def _launched() -> bool:
    size = os.environ.get("WORLD_SIZE", "1")
    return size.isdecimal() and int(size) > 1


@contextmanager
def place(jobs: int | None, dask: str | None, configs: Sequence[RunConfig]) -> Iterator[Place]:
    """Open the place that executes runs.

    Args:
        jobs: number of runs at a time; ``None``: as many as the place has room for.
        dask: address of a scheduler.
        configs: the runs.

    Raises:
        StudyError: if the place cannot be used, or not in this way.
    """
    if jobs is not None and jobs < 1:
        raise StudyError(f"jobs: expected at least 1, got {jobs}")
    if _launched():
        for option, given in (("jobs", jobs), ("dask", dask)):
            if given is not None:
                raise StudyError(
                    f"{option}: got {given!r}, but processes of torchrun train one run at a time, "
                    "together; leave it out"
                )
        # Not above: each imports packages that the others do not need.
        from .distributed import together

        with together(configs) as group:
            yield group
    elif dask is not None:
        from .cluster import connected

        with connected(dask, jobs) as cluster:
            yield cluster
    else:
        yield Here((os.cpu_count() or 1) if jobs is None else jobs)
