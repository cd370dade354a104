"""Uninitialised memory, in large pages if there is much of it."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

from torch import Tensor

__all__ = ["fresh"]

_LARGE_PAGE, _MADV_HUGEPAGE = 1 << 21, 14


@cache
def _madvise() -> Any:
    """Return Linux's call that asks for large pages; ``None`` elsewhere."""
    if sys.platform != "linux":
        return None
    return getattr(ctypes.CDLL(None, use_errno=True), "madvise", None)


def fresh(like: Tensor, shape: Sequence[int]) -> Tensor:
    """Make an uninitialised tensor; with small pages a third of a training step is page faults."""
    tensor = like.new_empty(shape)
    size, advise = tensor.numel() * tensor.element_size(), _madvise()
    if advise is not None and size >= 2 * _LARGE_PAGE:
        start = -(-tensor.data_ptr() // _LARGE_PAGE) * _LARGE_PAGE
        end = (tensor.data_ptr() + size) // _LARGE_PAGE * _LARGE_PAGE
        advise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), ctypes.c_int(_MADV_HUGEPAGE))
    return tensor
