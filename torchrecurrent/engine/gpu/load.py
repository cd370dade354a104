"""Makes functions of generated Triton, and says where they can run.

The text stays in memory: Triton reads a function's source through :mod:`inspect`, and that finds
it in :mod:`linecache`, under a name that is no file's. So there is nothing on disk that another
user could write to, and what Triton compiles it keeps in its own cache.
"""

from __future__ import annotations

import hashlib
import linecache
import os
from collections.abc import Mapping
from contextlib import nullcontext
from functools import cache
from typing import Any

import torch

__all__ = ["interpreted", "load_text", "refusal"]

_OLDEST = (3, 6)
_PROBE = """\
import triton
import triton.language as tl


@triton.jit
def probe(p0):
    tl.store(p0, tl.load(p0) + 1.0)
"""


def interpreted() -> bool:
    """Whether Triton runs its kernels in Python, on the CPU."""
    return os.environ.get("TRITON_INTERPRET", "0").lower() in ("1", "true", "on", "yes")


@cache
def _missing() -> str:
    try:
        import triton
    except ImportError as error:
        return f"Triton can't be imported ({error})"
    version = tuple(int(part) for part in triton.__version__.split(".")[:2])
    if version < _OLDEST:
        return f"Triton {triton.__version__} is older than {'.'.join(map(str, _OLDEST))}"
    return ""


def refusal(device: torch.device) -> str:
    """Why Triton has no kernel for a device; empty if it has."""
    if device.type != "cuda" and not (device.type == "cpu" and interpreted()):
        return f"Triton kernels need a GPU or TRITON_INTERPRET=1, and this is {device.type!r}"
    return _missing() or _broken(device)


@cache
def _broken(device: torch.device) -> str:
    """Why a kernel that adds 1 does not run: no C compiler, an old GPU or driver."""
    try:
        number = torch.zeros(1, device=device)
        with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
            load_text(_PROBE)["probe"][(1,)](number)
        return "" if number.item() == 1 else "Triton computes 0 + 1 wrongly"
    except Exception as error:  # Triton's and the drivers' have no base in common
        return f"Triton can't run a kernel ({type(error).__name__}: {error})".splitlines()[0]


@cache
def load_text(text: str) -> Mapping[str, Any]:
    """What the text of a module defines."""
    name = f"<torchrecurrent {hashlib.sha256(text.encode()).hexdigest()[:16]}>"
    # Without a time, checkcache() takes the lines for a loader's and keeps them.
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    module: dict[str, Any] = {"__name__": "torchrecurrent_kernels"}
    exec(compile(text, name, "exec"), module)
    return module
