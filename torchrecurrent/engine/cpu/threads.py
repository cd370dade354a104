"""Shares the slices of a call among threads: torch's own OpenMP pool where it is available.

After an operation torch's threads wait for the next one in a busy loop for some milliseconds.
Threads of our own would compete with them for the cores; torch's are ready at once.
"""

from __future__ import annotations

import ctypes
import os
from array import array
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import torch

__all__ = ["Call", "Team", "entry", "share", "table", "together"]

#: OpenMP's pool does not survive a fork.
_PROCESS = os.getpid()


class Call(ctypes.Structure):
    """``call_t`` of call.h."""

    _fields_ = (
        ("number", ctypes.c_void_p),
        ("threads", ctypes.c_void_p),
        ("first", ctypes.c_int64),
        ("stride", ctypes.c_int64),
        ("count", ctypes.c_int64),
        ("arguments", ctypes.c_void_p),
    )


class Team:
    """``team_t`` of team.h, in cache lines of its own: where the threads of a call meet."""

    def __init__(self) -> None:
        self._numbers = array("q", bytes(8 * 24))
        start = self._numbers.buffer_info()[0]
        self.address = -(-start // 64) * 64
        self._first = (self.address - start) // 8

    @property
    def late(self) -> int:
        """How often a thread has waited for long."""
        return self._numbers[self._first + 9]

    @late.setter
    def late(self, number: int) -> None:
        self._numbers[self._first + 9] = number

    @property
    def parted(self) -> bool:
        """Whether the threads went on alone, since some were late."""
        return bool(self._numbers[self._first + 10])


def table(library: ctypes.CDLL, name: str) -> Any:
    """Return a function of a library that takes the address of rows and how many they are."""
    function = getattr(library, name)
    function.argtypes, function.restype = (ctypes.c_void_p, ctypes.c_int64), None
    return function


def entry(library: ctypes.CDLL, name: str) -> Any:
    """Return a function of a library that takes an address and returns nothing."""
    function = getattr(library, name)
    function.argtypes, function.restype = (ctypes.c_void_p,), None
    return function


@cache
def _openmp() -> tuple[Any, int, int] | None:
    """Return functions of torch's GNU OpenMP: start a team, a thread's number, its team's size."""
    for path in sorted((Path(torch.__file__).parent / "lib").glob("libgomp*.so*")):
        try:
            library = ctypes.CDLL(str(path))  # loaded already, with torch
            addresses = [
                ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0
                for name in ("omp_get_thread_num", "omp_get_num_threads")
            ]
            return library.GOMP_parallel, addresses[0], addresses[1]
        except (OSError, AttributeError):
            continue
    return None


def together() -> bool:
    """Whether the threads of a call run at the same time, so that they may wait for each other."""
    return os.getpid() == _PROCESS and _openmp() is not None


@lru_cache(maxsize=1)
def _pool(workers: int, process: int) -> ThreadPoolExecutor:
    """Return the pool, which is kept between calls; a forked child gets its own."""
    return ThreadPoolExecutor(workers, thread_name_prefix="torchrecurrent")


def share(function: Any, arguments: int, count: int) -> None:
    """Call the C function ``function`` for slices 0 to count - 1.

    Args:
        function: takes the address of a ``call_t`` and computes its thread's slices.
        arguments: the address of what the call points to.
        count: the number of slices; 1 runs in the caller's thread.
    """

    def work(first: int, stride: int) -> None:
        function(ctypes.byref(Call(None, None, first, stride, count, arguments)))

    if count == 1:  # faster than a structure is made
        only = array("q", (0, 0, 0, 1, 1, arguments))  # named, or it would be gone by the call
        function(only.buffer_info()[0])
        return
    if together() and (openmp := _openmp()) is not None:
        parallel, number, threads = openmp
        call = Call(number, threads, 0, 1, count, arguments)
        parallel(function, ctypes.byref(call), ctypes.c_uint(count), ctypes.c_uint(0))
        return
    pool = _pool(torch.get_num_threads(), os.getpid())
    futures = [pool.submit(work, k, count) for k in range(1, count)]
    work(0, count)
    for future in futures:
        future.result()
