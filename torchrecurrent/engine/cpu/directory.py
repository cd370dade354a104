"""The directory where compiled kernels are kept: which it is, and whether it is safe to use."""

from __future__ import annotations

import os
import re
import shutil
import stat
import sys
import time
from contextlib import suppress
from pathlib import Path

from .target import SUFFIX
from .zig import FOLDER

__all__ = [
    "BUILD_PREFIX",
    "DIRECTORY_VARIABLE",
    "CacheError",
    "check_ours",
    "directory",
    "kernel_files",
    "open_directory",
    "sweep",
    "zig_bytes",
]

DIRECTORY_VARIABLE = "TORCHRECURRENT_CACHE_DIR"
#: Of the folder of a build that is going on.
BUILD_PREFIX = ".torchrecurrent-build-"

# The directory may be one where the user has other things: these are the names to remove.
_FILE = re.compile(rf"[0-9a-f]{{64}}({re.escape(SUFFIX)}|\.json|\.lock)")
_STALE_SECONDS = 3600.0


class CacheError(RuntimeError):
    """The cache directory cannot be used; the message says why."""


def directory() -> Path:
    """Where kernels are kept: ``TORCHRECURRENT_CACHE_DIR``, or in the user's cache directory.

    Raises:
        CacheError: if the user has no home.
    """
    try:
        if chosen := os.environ.get(DIRECTORY_VARIABLE):
            return Path(chosen).expanduser().absolute()
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Caches" / "torchrecurrent"
        if sys.platform == "win32":
            local = os.environ.get("LOCALAPPDATA")
            base = Path(local) if local else Path.home() / "AppData" / "Local"
            return base / "torchrecurrent" / "Cache"
        base = Path(os.environ.get("XDG_CACHE_HOME", ""))
        # A relative one is to be ignored, says the XDG specification.
        return (base if base.is_absolute() else Path.home() / ".cache") / "torchrecurrent"
    except (RuntimeError, OSError) as error:
        raise CacheError(f"there is no cache directory: {error}") from error


def open_directory() -> Path:
    """The directory, made if need be; CacheError or OSError if it cannot be used."""
    folder = Path(os.path.realpath(directory()))
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)
    if not folder.is_dir():
        raise CacheError(f"{folder} is not a directory")
    check_ours(folder)
    return folder


def check_ours(path: Path) -> None:
    """Who can write a library here can run code as this user; root can anyway.

    On Windows the user's folders are closed to others by what they inherit.
    """
    if sys.platform == "win32":
        return
    found = path.stat()
    if found.st_uid not in (os.geteuid(), 0):
        raise CacheError(f"{path} is owned by another user ({found.st_uid})")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise CacheError(f"{path} can be written by other users (chmod go-w makes it right)")


def kernel_files(folder: Path) -> list[Path]:
    """All files of kernels, and nothing else that lies in the directory."""
    return [path for path in folder.iterdir() if _FILE.fullmatch(path.name)]


def zig_bytes(folder: Path) -> int:
    """The size of what Zig has made for itself."""
    total = 0
    for path in (folder / FOLDER).rglob("*"):
        with suppress(OSError):  # Zig may be at work
            total += path.stat().st_size if path.is_file() else 0
    return total


def sweep(folder: Path) -> None:
    """Remove what builds that were killed left behind."""
    for path in folder.glob(f"{BUILD_PREFIX}*"):
        with suppress(OSError):  # another process may be sweeping too
            if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
