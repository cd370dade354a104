"""Keeps the directory of kernels below a size: the least recently used are removed first.

A kernel counts as used when a process loads it, which sets the time of its description. One that
another process is loading stays; one that is loaded no longer needs its file.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from ..disk.directory import CacheError
from ..disk.locks import unused
from .kernel_files import kernel_files
from .target import SUFFIX

__all__ = ["SIZE_VARIABLE", "evict", "size_limit", "use"]

SIZE_VARIABLE = "TORCHRECURRENT_CACHE_SIZE"

#: In MB. A kernel has 50 to 200 kB, so there is room for thousands.
_DEFAULT = 500.0


def size_limit() -> int:
    """Return the most bytes for all kernels: ``TORCHRECURRENT_CACHE_SIZE`` in MB, or 500 MB.

    Raises:
        CacheError: if the variable is not a positive number.
    """
    text = os.environ.get(SIZE_VARIABLE)
    if not text:
        return int(_DEFAULT * 1e6)
    with suppress(ValueError):
        if 0 < (size := float(text)) < 1e9:
            return int(size * 1e6)
    raise CacheError(f"{SIZE_VARIABLE} must be a number of MB, got {text!r}")


def use(folder: Path, key: str) -> None:
    """Record that a kernel is used now."""
    with suppress(OSError):  # a read-only disk keeps its old times
        os.utime(folder / f"{key}.json")


def evict(folder: Path, newest: str) -> None:
    """Remove the least recently used kernels until the rest is within the limit.

    Args:
        folder: the directory.
        newest: the key of the kernel that was just made, which stays.
    """
    sizes: dict[str, int] = {}
    used: dict[str, float] = {}
    for path in kernel_files(folder):
        with suppress(OSError):  # another process may be removing it too
            found = path.stat()
            sizes[path.stem] = sizes.get(path.stem, 0) + found.st_size
            if path.suffix == ".json":
                used[path.stem] = found.st_mtime
    excess = sum(sizes.values()) - size_limit()
    for key in sorted(used, key=used.__getitem__):
        if excess <= 0:
            return
        if key != newest and _remove(folder, key):
            excess -= sizes[key]


def _remove(folder: Path, key: str) -> bool:
    library = folder / f"{key}{SUFFIX}"
    with unused(library) as free:
        if free:
            try:
                # Nobody reads it without its description; Windows keeps it while it is loaded.
                library.unlink()
                library.with_suffix(".json").unlink(missing_ok=True)
            except OSError:
                return False
        return free
