"""Matrix products in C, compiled once for all cells."""

from __future__ import annotations

import ctypes
from functools import cache

import torch
from torch import Tensor

from .cache import load
from .emit import Real
from .math import source_file
from .threads import share

__all__ = ["Products", "products"]


class _Gradient(ctypes.Structure):
    """``gradient_t`` of gemm.c."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("rows", "columns", "units", "lda", "ldb", "ldc")),
        *((name, ctypes.c_void_p) for name in ("a", "b", "c", "work")),
    )


class Products:
    """The functions of gemm.c in one precision."""

    def __init__(self, real: Real) -> None:
        library = load(f"typedef {real} real;\n{source_file('call.h')}\n{source_file('gemm.c')}")
        library.panel_width.restype = ctypes.c_int64
        library.gradient_work.restype = ctypes.c_int64
        self._gradient, self._work = library.gradient, library.gradient_work
        #: How many units of a packed weight lie side by side.
        self.panel = int(library.panel_width())
        #: The address of the function that the kernels of cells call.
        self.blocks = ctypes.cast(library.blocks, ctypes.c_void_p).value or 0

    def add(self, a: Tensor, b: Tensor, total: Tensor) -> None:
        """Add a' b to ``total``, its rows shared among threads."""
        rows, units, columns = a.size(0), a.size(1), b.size(1)
        count = max(1, min(torch.get_num_threads(), rows * units * columns >> 21))
        work = a.new_empty(count, self._work(ctypes.c_int64(columns)))
        strides = (tensor.stride(0) for tensor in (a, b, total))
        addresses = (tensor.data_ptr() for tensor in (a, b, total, work))
        share(self._gradient, _Gradient(rows, columns, units, *strides, *addresses), count)


@cache
def products(real: Real) -> Products:
    """The products in one precision, compiled or loaded when first asked for."""
    return Products(real)
