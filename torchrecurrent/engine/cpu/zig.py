"""The C compiler that pip can install: Zig's, from the package ``ziglang``.

Before it compiles anything it makes the libraries that it links with, once on a machine. They lie
beside the kernels; what it keeps of each kernel goes with the folder where that was compiled.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from .calling import tell, time_limit

__all__ = ["FOLDER", "INSTALL", "environment", "is_zig", "limit", "zig_command"]

#: In the cache directory: what Zig makes for itself.
FOLDER = ".torchrecurrent-zig"

#: How to get a compiler where there is none.
INSTALL = 'pip install "torchrecurrent[compiler]"'

#: Its own variables: what it keeps for all that it compiles, and for one project.
_SHARED, _OWN = "ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR"

#: Seconds for the first call: 4 to 20 on Linux, 65 for Windows' libraries, on an idle machine.
_FIRST_LIMIT = 300.0
_FIRST = "Zig makes the libraries that it links with, once on this machine, in a minute or two"


def zig_command() -> list[str] | None:
    """How to call the compiler of the package ``ziglang``; ``None`` where it is not installed."""
    if not sys.executable or importlib.util.find_spec("ziglang") is None:
        return None
    return [sys.executable, "-m", "ziglang", "cc"]


def is_zig(path: str, arguments: Sequence[str]) -> bool:
    """Whether a compiler is Zig's, also where ``CC`` names it."""
    return "cc" in arguments and ("ziglang" in arguments or Path(path).stem == "zig")


def environment(folder: Path, support: Path | None) -> dict[str, str]:
    """Zig's variables for a compilation in ``folder``.

    Args:
        folder: private to this compilation.
        support: where Zig may keep what it makes for itself; ``None``: nowhere.
    """
    shared = os.environ.get(_SHARED) or str(support or folder / "shared")
    return {_SHARED: shared, _OWN: str(folder / "own")}


def limit(variables: dict[str, str]) -> float:
    """Seconds that a compilation may take: more of them for the first, which is announced."""
    if any(Path(variables[_SHARED]).glob("o/*/*compiler_rt*")):
        return time_limit()
    tell(_FIRST)
    return time_limit(_FIRST_LIMIT)
