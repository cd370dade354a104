"""The C compiler that pip can install: Zig's, from the package ``ziglang``.

On its first use on a machine it builds the libraries that it links with. They are kept beside the
kernels; its files for a single kernel are removed with the folder of that compilation.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ..disk.telling import tell
from .calling import time_limit

__all__ = ["FOLDER", "INSTALL", "environment", "is_zig", "limit", "zig_command"]

#: Zig's own files, in the cache directory.
FOLDER = ".torchrecurrent-zig"

#: How to get a compiler where there is none.
INSTALL = "pip install ziglang"

#: Zig's variables: the folder of files for all compilations, and of those for one project.
_SHARED, _OWN = "ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR"

#: Seconds for the first call: 4 to 20 on Linux, 65 for Windows' libraries, on an idle machine.
_FIRST_LIMIT = 300.0
_FIRST = "Zig makes the libraries that it links with, once on this machine, in a minute or two"


def zig_command() -> list[str] | None:
    """Return the command of ``ziglang``'s compiler; ``None`` if it is not installed."""
    if not sys.executable or importlib.util.find_spec("ziglang") is None:
        return None
    return [sys.executable, "-m", "ziglang", "cc"]


def is_zig(path: str, arguments: Sequence[str]) -> bool:
    """Whether a compiler is Zig's, even if ``CC`` names it."""
    return "cc" in arguments and ("ziglang" in arguments or Path(path).stem == "zig")


def environment(folder: Path, support: Path | None) -> dict[str, str]:
    """Zig's variables for a compilation in ``folder``.

    Args:
        folder: private to this compilation.
        support: where Zig may keep its own files; ``None``: nowhere.
    """
    shared = os.environ.get(_SHARED) or str(support or folder / "shared")
    return {_SHARED: shared, _OWN: str(folder / "own")}


def limit(variables: dict[str, str]) -> float:
    """Seconds that a compilation may take: more for the first, which is announced."""
    if any(Path(variables[_SHARED]).glob("o/*/*compiler_rt*")):
        return time_limit()
    tell(_FIRST)
    return time_limit(_FIRST_LIMIT)
