"""Finds the directory of kernels and of verdicts on them, and checks that it is safe to use."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

__all__ = ["DIRECTORY_VARIABLE", "CacheError", "check_ours", "directory", "open_directory"]

DIRECTORY_VARIABLE = "TORCHRECURRENT_CACHE_DIR"


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
