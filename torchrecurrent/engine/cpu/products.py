"""Matrix products in C, compiled once for all cells."""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Iterable
from functools import cache

import torch
from torch import Tensor

from .cache import load
from .emit import Real
from .math import source_file
from .threads import entry, share

__all__ = ["Products", "products"]


class Products:
    """The functions of gemm.c in one precision."""

    def __init__(self, real: Real) -> None:
        library = load(f"typedef {real} real;\n{source_file('call.h')}\n{source_file('gemm.c')}")
        library.panel_width.restype = ctypes.c_int64
        library.gradient_work.restype = ctypes.c_int64
        library.gradient_work.argtypes = (ctypes.c_int64,)
        self._gradient, self._work = entry(library, "gradient"), library.gradient_work
        self._panels = library.panels
        self._panels.argtypes, self._panels.restype = (ctypes.c_void_p, ctypes.c_int64), None
        #: How many units of a packed weight lie side by side.
        self.panel = int(library.panel_width())
        #: The address of the function that the kernels of cells call.
        self.blocks = ctypes.cast(library.blocks, ctypes.c_void_p).value or 0

    def add(self, a: Tensor, b: Tensor, total: Tensor) -> None:
        """Add a' b to ``total``, its rows shared among threads."""
        (rows, units), columns = a.shape, b.size(1)
        count = max(1, min(torch.get_num_threads(), rows * units * columns >> 21))
        work = a.new_empty(count * self._work(columns))
        tensors = (a, b, total)
        strides = [tensor.stride(0) for tensor in tensors]
        addresses = [tensor.data_ptr() for tensor in (*tensors, work)]
        # gradient_t of gemm.c
        arguments = array("q", (rows, columns, units, *strides, *addresses))
        share(self._gradient, arguments.buffer_info()[0], count)

    def packed_size(self, units: int, inner: int) -> int:
        """How many numbers a kernel of units x inner has once it is packed."""
        return -(-units // self.panel) * self.panel * inner

    def pack(self, kernels: Iterable[tuple[int, int, int, bool, int, int]]) -> None:
        """Pack kernels, each a ``kernel_t`` of gemm.c.

        That is how many blocks it has, their units and columns, whether it is transposed, and the
        addresses of the kernel and of where it is packed.
        """
        table = array("q", [number for kernel in kernels for number in kernel])
        self._panels(table.buffer_info()[0], len(table) // 6)


@cache
def products(real: Real) -> Products:
    """The products in one precision, compiled or loaded when first asked for."""
    return Products(real)
