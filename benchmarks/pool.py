"""Runs a function on names in several processes, each of which compiles kernels on its own core."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

__all__ = ["spread"]

T = TypeVar("T")


def spread(
    function: Callable[[str], T], names: Iterable[str], jobs: int
) -> Iterator[tuple[str, T | str]]:
    """Yield each name and what the function gives for it, or the error that it raises, as text.

    Args:
        function: one that another process can import, or a ``partial`` of one.
        names: its arguments.
        jobs: how many processes there are; with one, it is this one.
    """
    called = _Called(function)
    if jobs == 1:
        yield from map(called, names)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap_unordered(called, names)


class _Called:
    """The function, whose errors are results: one cell that fails must not hide the others."""

    def __init__(self, function: Callable[[str], object]) -> None:
        self._function = function

    def __call__(self, name: str) -> tuple[str, object]:
        try:
            return name, self._function(name)
        except Exception as error:  # Triton's and the drivers' have no base in common
            return name, f"{type(error).__name__}: {error}".splitlines()[0]
