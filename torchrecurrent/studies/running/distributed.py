"""Runs under torchrun, one after another, each trained by all processes together.

The result is that of one process except for the last bits: sums are taken in another order. Random
draws during training, such as dropout's, are the same on all processes, so they differ from those
of a single process.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
import torch.distributed as dist
from rich.console import Console

from .processes import Group
from .records import RunConfig, RunResult
from .store import StudyError, kept_run
from .sweep import Failure, Outcome, attempt, follow

__all__ = ["Together", "together"]

T = TypeVar("T")


class Together:
    """All processes of torch's default group, which must exist.

    Attributes:
        jobs: 1.
    """

    def __init__(self) -> None:
        self.jobs = 1
        self._group = Group()

    def first(self, make: Callable[[], T]) -> T:
        return self._group.first(make)

    def sweep(
        self, configs: Sequence[RunConfig], console: Console, folders: Sequence[Path]
    ) -> list[RunResult]:
        """Run all in the given order, the same on all processes.

        A run that raises ends the sweep: a process then cannot know where the others are.

        Raises:
            SweepError: if a run raised an exception.
        """
        return follow(self._outcomes(configs, folders), configs, console, folders)

    def _outcomes(self, configs: Sequence[RunConfig], folders: Sequence[Path]) -> Iterator[Outcome]:
        for index, (config, folder) in enumerate(zip(configs, folders, strict=True)):
            run = partial(kept_run, folder, config, processes=self._group)
            outcome = attempt(index, config, run)
            yield outcome
            if isinstance(outcome[1], Failure):
                return


@contextmanager
def together(configs: Sequence[RunConfig]) -> Iterator[Together]:
    """Make a group of the processes that torchrun started, for the duration of the block.

    Args:
        configs: the runs.

    Raises:
        StudyError: if the processes cannot share a batch or a device, or were not started by
            torchrun.
    """
    size = int(os.environ["WORLD_SIZE"])
    for config in configs:
        if config.batch_size % size:
            raise StudyError(
                f"batch_size: expected a multiple of {size}, the number of processes, "
                f"got {config.batch_size} ({config.title})"
            )
    backend = _backend({config.device for config in configs})
    try:
        dist.init_process_group(backend)
    except ValueError as error:  # a variable is missing
        raise StudyError(f"WORLD_SIZE is {size}, but not by torchrun: {error}") from error
    try:
        yield Together()
    finally:
        dist.destroy_process_group()


def _backend(devices: set[str]) -> str:
    """Return Gloo, with NCCL for tensors on GPUs; each process gets its own GPU."""
    for device in devices - {"cpu", "cuda"}:
        raise StudyError(f"device: expected cpu or cuda for many processes, got {device!r}")
    if "cuda" not in devices:
        return "gloo"
    here, found = int(os.environ.get("LOCAL_WORLD_SIZE", "1")), torch.cuda.device_count()
    if found < here:
        raise StudyError(f"device: expected a GPU for each of {here} processes, found {found}")
    torch.cuda.set_device(
        int(os.environ.get("LOCAL_RANK", "0"))
    )  # the device that "cuda" means from here on
    return "cpu:gloo,cuda:nccl"
