"""Makes functions of generated Triton, and says where they can run.

The text stays in memory: Triton reads a function's source through :mod:`inspect`, and that finds
it in :mod:`linecache`, under a name that is no file's. So there is nothing on disk that another
user could write to, and what Triton compiles it keeps in its own cache.
"""

from __future__ import annotations

import hashlib
import linecache
import os
import re
import subprocess
from collections.abc import Mapping
from contextlib import nullcontext
from functools import cache
from typing import Any

import torch

__all__ = ["interpreted", "load_text", "refusal", "version"]

#: Older ones compile some kernels to wrong results on Hopper, without a word.
_OLDEST = (3, 7, 1)
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


def version() -> str:
    """Return Triton's version."""
    import triton

    return str(triton.__version__)


@cache
def _missing() -> str:
    try:
        import triton
    except ImportError as error:
        return f"Triton can't be imported ({error})"
    version = tuple(map(int, re.findall(r"\d+", triton.__version__)[:3]))
    if version < _OLDEST:
        return f"Triton {triton.__version__} is older than {'.'.join(map(str, _OLDEST))}"
    return ""


def refusal(device: torch.device) -> str:
    """Return why Triton has no kernel for a device; empty if it has."""
    if device.type != "cuda" and not (device.type == "cpu" and interpreted()):
        return f"Triton kernels need a GPU or TRITON_INTERPRET=1, and this is {device.type!r}"
    return _missing() or _broken(device)


#: What a first kernel has shown, by device: that it runs, or why none ever will.
_shown: dict[torch.device, str] = {}


def _broken(device: torch.device) -> str:
    """Return why a kernel that adds 1 does not run: no C compiler, an old GPU or driver.

    The answer is kept if it can't change. What can, a lack of memory for instance, is asked again.
    """
    if device not in _shown:
        if device.type == "cuda" and torch.cuda.is_current_stream_capturing():
            return (
                "no kernel of Triton has run in this process yet, and the first one can't run "
                "while a CUDA graph is captured; call the layer once before"
            )
        reason, lasts = _first_kernel(device)
        if not lasts:
            return reason
        _shown[device] = reason
    return _shown[device]


def _first_kernel(device: torch.device) -> tuple[str, bool]:
    """Return why a first kernel does not run, empty if it does; and whether that will stay so."""
    try:
        number = torch.zeros(1, device=device)
        if type(number) is not torch.Tensor:
            return f"tensors have no memory here, they are {type(number).__name__}s", False
        with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
            load_text(_PROBE)["probe"][(1,)](number)
        return "" if number.item() == 1 else "Triton computes 0 + 1 wrongly", True
    except Exception as error:  # Triton's and the drivers' have no base in common
        reason = f"Triton can't run a kernel ({type(error).__name__}: {error})".splitlines()[0]
        return reason, _is_of_compiling(error)


def _is_of_compiling(error: Exception) -> bool:
    """Return whether Triton or a compiler refuses the kernel, rather than the machine to run it."""
    kind = type(error)
    of_triton = kind.__module__.split(".")[0] == "triton" and kind.__name__ != "InterpreterError"
    of_compiler = isinstance(error, ImportError | subprocess.CalledProcessError)
    return of_triton or of_compiler or "C compiler" in str(error)


@cache
def load_text(text: str) -> Mapping[str, Any]:
    """What the text of a module defines."""
    name = f"<torchrecurrent {hashlib.sha256(text.encode()).hexdigest()[:16]}>"
    # Without a time, checkcache() takes the lines for a loader's and keeps them.
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    module: dict[str, Any] = {"__name__": "torchrecurrent_kernels"}
    exec(compile(text, name, "exec"), module)
    return module
