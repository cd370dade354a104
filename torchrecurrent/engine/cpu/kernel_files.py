"""The files of kernels in the cache directory, and what killed builds leave behind."""

from __future__ import annotations

import re
import shutil
import time
from contextlib import suppress
from pathlib import Path

from .target import SUFFIX
from .zig import FOLDER

__all__ = ["BUILD_PREFIX", "kernel_files", "sweep", "zig_bytes"]

#: Begins the name of the folder of a running build.
BUILD_PREFIX = ".torchrecurrent-build-"

# The user may have other files in the directory: only these names are removed.
_FILE = re.compile(rf"[0-9a-f]{{64}}({re.escape(SUFFIX)}|\.json|\.lock)")
_STALE_SECONDS = 3600.0


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
