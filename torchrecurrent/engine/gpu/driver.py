"""The version of the GPUs' driver, on which a verdict on a kernel depends."""

from __future__ import annotations

import ctypes
import sys
from functools import cache

__all__ = ["driver_version"]


@cache
def driver_version() -> str:
    """Return the version of NVIDIA's driver, such as ``"580.159.04"``; empty if nothing tells it.

    torch knows only which version of CUDA it was made for.
    """
    name = "nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1"
    try:
        library = ctypes.CDLL(name)
        if library.nvmlInit_v2():
            return ""
        text = ctypes.create_string_buffer(96)
        failed = library.nvmlSystemGetDriverVersion(text, ctypes.c_uint(len(text)))
        library.nvmlShutdown()
    except (OSError, AttributeError):  # there is no such library, or another one of that name
        return ""
    return "" if failed else text.value.decode(errors="replace")
