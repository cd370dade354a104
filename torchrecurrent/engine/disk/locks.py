"""File locks between processes; the system releases them when their holder dies.

They only save work. If the file system has none, or a lock is not free in time, the process goes
on without it: a file is whole whenever it is moved into place.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from .telling import tell

__all__ = ["file_lock", "reading", "unused"]

_POLL_SECONDS = 0.02
#: Seconds after which a wait is explained, and the explanation.
_PATIENCE = 2.0
_WAITING = "waiting for another process, which compiles or checks the same kernel"

_descriptors: set[int] = set()

if sys.platform == "win32":
    import msvcrt

    def _take(descriptor: int, shared: bool) -> bool:
        """Whether the lock is held now; OSError where there are none."""
        with suppress(PermissionError):
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            return True
        return False

    def _let_go(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
else:
    import fcntl

    def _take(descriptor: int, shared: bool) -> bool:
        """Whether the lock is held now; OSError where there are none."""
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            return True
        return False

    def _let_go(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags, 0o600)
    _descriptors.add(descriptor)
    try:
        yield descriptor
    finally:
        _descriptors.discard(descriptor)
        os.close(descriptor)


@contextmanager
def file_lock(path: Path, seconds: float) -> Iterator[None]:
    """Lock ``path``, a file that only serves as a lock, against other processes."""
    with _opened(path, os.O_RDWR | os.O_CREAT) as descriptor:
        held = _acquire(descriptor, seconds)
        try:
            yield
        finally:
            if held:
                # A process that waits on the removed file, or makes a new one, finds the kernel.
                with suppress(OSError):  # Windows keeps it while it is open
                    path.unlink()
                with suppress(OSError):
                    _let_go(descriptor)  # a forked child may have it open too


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Mark a file as being read, for :func:`unused`; OSError if the file does not exist."""
    if sys.platform == "win32":  # an open file or a loaded library cannot be removed there
        yield
        return
    with _opened(path, os.O_RDONLY) as descriptor:
        with suppress(OSError):  # no locks on this file system
            _take(descriptor, True)
        yield


@contextmanager
def unused(path: Path) -> Iterator[bool]:
    """Whether nobody is reading the file; within the block, new readers do without it."""
    if sys.platform == "win32":
        yield path.exists()
        return
    with ExitStack() as stack:
        free = False
        with suppress(OSError):  # it is gone, or there are no locks
            descriptor = stack.enter_context(_opened(path, os.O_RDWR))
            # Another file may have been moved into its place meanwhile.
            free = _take(descriptor, False) and _is_at(descriptor, path)
        yield free


def _is_at(descriptor: int, path: Path) -> bool:
    return os.path.samestat(os.fstat(descriptor), path.stat())


def _acquire(descriptor: int, seconds: float) -> bool:
    start = time.monotonic()
    while (waited := time.monotonic() - start) < seconds:
        try:
            if _take(descriptor, False):
                return True
        except OSError:  # no locks on this file system
            return False
        if waited > _PATIENCE:
            tell(_WAITING)
        time.sleep(_POLL_SECONDS)
    return False


def _after_fork_in_child() -> None:
    """Close the parent's files: open here too, they would stay locked after its death."""
    for descriptor in _descriptors:
        with suppress(OSError):
            os.close(descriptor)
    _descriptors.clear()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_after_fork_in_child)
