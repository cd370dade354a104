"""Runs on the workers of a Dask cluster, by its own client.

joblib's Dask backend is not used: with one worker it runs in the client's process, it has no limit
on the runs at a time, and it waits for ever for a run whose workers died.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

from rich.console import Console

import torchrecurrent

from .records import RunConfig, RunResult
from .store import StudyError, kept_run
from .sweep import Failure, Outcome, attempt, follow, longest_first

try:
    from dask.distributed import Client, Future, as_completed, get_worker
except ModuleNotFoundError as missing:
    raise StudyError(
        f'dask: {missing.name} is not installed; pip install ".[dask]" in a checkout'
    ) from missing

__all__ = ["Cluster", "connected"]

T = TypeVar("T")
CONNECT_SECONDS = 10


class Cluster:
    """The workers of a Dask cluster.

    Args:
        client: connected to it.
        workers: the number of workers it has now.
        limit: the most runs at a time; ``None``: as many as it has workers, including later ones.

    Attributes:
        jobs: number of runs at a time.
    """

    def __init__(self, client: Client, workers: int, limit: int | None) -> None:
        self.jobs = workers if limit is None else min(workers, limit)
        self._limit = limit
        self.client = client

    def first(self, make: Callable[[], T]) -> T:
        return make()

    def sweep(
        self, configs: Sequence[RunConfig], console: Console, folders: Sequence[Path]
    ) -> list[RunResult]:
        """Run all, the longest first; workers read and write the same folders.

        However it ends, no run is left on the cluster, and the cluster itself is unchanged.

        Raises:
            SweepError: if runs raised exceptions, or their workers died.
            KeyboardInterrupt: if Ctrl-C was pressed.
        """
        # Closing it cancels the remaining runs.
        with closing(self._outcomes(configs, [each.absolute() for each in folders])) as outcomes:
            return follow(outcomes, configs, console, folders)

    def _outcomes(
        self, configs: Sequence[RunConfig], folders: Sequence[Path]
    ) -> Generator[Outcome, None, None]:
        indices: dict[Future[Outcome], int] = {}

        def submit(index: int) -> Future[Outcome]:
            # If pure, a failed run would be remembered and not tried again.
            future = self.client.submit(_work, index, folders[index], configs[index], pure=False)
            indices[future] = index
            return future

        waiting = iter(longest_first(configs))
        begun = [submit(k) for k in islice(waiting, self._limit)]
        under_way = as_completed(begun, loop=self.client.loop)
        try:
            for future in under_way:
                index = indices.pop(future)
                yield _outcome(index, configs[index], future)
                for following in islice(waiting, 1):
                    under_way.add(submit(following))
        finally:
            self.client.cancel(list(indices))


def _outcome(index: int, config: RunConfig, future: Future[Outcome]) -> Outcome:
    if future.status == "finished":
        outcome: Outcome = future.result()
        return outcome
    if future.status == "error":
        error = future.exception()
        message = f"{type(error).__name__}: {error}"
    else:
        message = f"the cluster gave it up ({future.status})"
    return index, Failure(config, message.partition("\n")[0], message)


def _work(index: int, folder: Path, config: RunConfig) -> Outcome:
    worker = get_worker()
    key = worker.get_current_task()

    def wanted() -> bool:
        # A thread cannot be ended from outside; the worker only notices that nobody waits.
        task = worker.state.tasks.get(key)
        return task is not None and task.state != "cancelled"

    return attempt(index, config, partial(kept_run, folder, config, wanted=wanted))


@contextmanager
def connected(address: str, jobs: int | None) -> Iterator[Cluster]:
    """Connect to a cluster for the duration of the block.

    Args:
        address: the address of its scheduler.
        jobs: number of runs at a time; ``None``: as many as it has workers.

    Raises:
        StudyError: if it cannot be reached, has no workers, or has unsuitable ones.
    """
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:  # a timeout is an OSError
        reason = str(error).partition("\n")[0]
        raise StudyError(f"dask: could not reach {address!r}: {reason}") from error
    with client:
        workers = _checked(client, address)
        yield Cluster(client, workers, jobs)


def _checked(client: Client, address: str) -> int:
    """Return the number of workers, after checking that all are suitable."""
    threads = client.nthreads()
    if not threads:
        raise StudyError(f"dask: {address} has no workers; start them with: dask worker {address}")
    for worker, count in threads.items():
        if count != 1:
            raise StudyError(
                f"dask: worker {worker} has {count} threads, but torch's random numbers and its "
                "number of threads are a process's own; start workers with --nthreads 1"
            )
    for worker, found in client.run(_version, on_error="return").items():
        if found != torchrecurrent.__version__:
            raise StudyError(
                f"dask: expected torchrecurrent {torchrecurrent.__version__} on worker {worker}, "
                f"got {str(found).partition(chr(10))[0]}"
            )
    return len(threads)


def _version() -> str:
    """Return the version of this package on a worker, which has to import it and what it needs."""
    return torchrecurrent.__version__
