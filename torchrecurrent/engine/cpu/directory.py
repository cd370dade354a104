"""Finds the directory of compiled kernels and checks that it is safe to use."""

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
#: Begins the name of the folder of a running build.
BUILD_PREFIX = ".torchrecurrent-build-"

# The user may have other files in the directory: only these names are removed.
_FILE = re.compile(rf"[0-9a-f]{{64}}({re.escape(SUFFIX)}|\.json|\.lock)")
_STALE_SECONDS = 3600.0


class CacheError(RuntimeError):
    """The cache directory cannot be used; the message says why."""


def directory() -> Path:
    """Return ``TORCHRECURRENT_CACHE_DIR``, or a folder in the user's cache directory.

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
        # The XDG specification says to ignore a relative path.
        return (base if base.is_absolute() else Path.home() / ".cache") / "torchrecurrent"
    except (RuntimeError, OSError) as error:
        raise CacheError(f"there is no cache directory: {error}") from error


def open_directory() -> Path:
    """Return the directory, made if needed; CacheError or OSError if it cannot be used."""
    folder = Path(os.path.realpath(directory()))
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)
    if not folder.is_dir():
        raise CacheError(f"{folder} is not a directory")
    check_ours(folder)
    return folder


def check_ours(path: Path) -> None:
    """Raise CacheError if others can write here: a library of theirs would run as this user.

    Root is trusted. On Windows the user's folders inherit permissions that exclude others.
    """
    if sys.platform == "win32":
        return
    found = path.stat()
    if found.st_uid not in (os.geteuid(), 0):
        raise CacheError(f"{path} is owned by another user ({found.st_uid})")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise CacheError(f"{path} can be written by other users (chmod go-w makes it right)")


def kernel_files(folder: Path) -> list[Path]:
    """Return the files of all kernels, and no other file of the directory."""
    return [path for path in folder.iterdir() if _FILE.fullmatch(path.name)]


def zig_bytes(folder: Path) -> int:
    """Return the size of Zig's own files."""
    total = 0
    for path in (folder / FOLDER).rglob("*"):
        with suppress(OSError):  # Zig may be running
            total += path.stat().st_size if path.is_file() else 0
    return total


def sweep(folder: Path) -> None:
    """Remove the files that killed builds left behind."""
    for path in folder.glob(f"{BUILD_PREFIX}*"):
        with suppress(OSError):  # another process may be sweeping too
            if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
