"""Matrix products in C, compiled once for all cells."""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from .cache import load
from .emit import Real
from .math import source_file
from .threads import entry, share, table

__all__ = ["Product", "Products", "products"]


class Product(NamedTuple):
    """A product a' b that is added to a total, each some rows and columns of a matrix."""

    rows: int
    columns: int
    units: int
    #: In numbers, from one row to the next.
    strides: tuple[int, int, int]
    #: Of the first number of a, b and the total.
    addresses: Sequence[int]

    @property
    def work(self) -> int:
        return self.rows * self.units * self.columns

    def numbers(self, work: int) -> tuple[int, ...]:
        """Return its ``gradient_t`` of gemm.c, given the address of memory to work in."""
        return (self.rows, self.columns, self.units, *self.strides, *self.addresses, work)


class Products:
    """The functions of gemm.c in one precision."""

    def __init__(self, real: Real) -> None:
        library = load(f"typedef {real} real;\n{source_file('call.h')}\n{source_file('gemm.c')}")
        library.panel_width.restype = ctypes.c_int64
        library.gradient_work.restype = ctypes.c_int64
        library.gradient_work.argtypes = (ctypes.c_int64,)
        self._gradient, self._work = entry(library, "gradient"), library.gradient_work
        self._panels, self._gradients, self._sums = (
            table(library, name) for name in ("panels", "gradients", "sums")
        )
        #: How many units of a packed weight lie side by side.
        self.panel = int(library.panel_width())
        #: The address of the function that the kernels of cells call.
        self.blocks = ctypes.cast(library.blocks, ctypes.c_void_p).value or 0

    def add(self, products: Sequence[Product], like: Tensor) -> None:
        """Add each product to its total; the rows of large ones are shared among threads.

        Args:
            products: the products, whose matrices have to live until then.
            like: has their dtype.
        """
        threads = torch.get_num_threads()
        counts = [min(threads, each.work >> 21) for each in products]
        most, widest = max(1, *counts), max(each.columns for each in products)
        memory = like.new_empty(most * self._work(widest))
        start = memory.data_ptr()
        if most == 1:
            rows = array("q", [number for each in products for number in each.numbers(start)])
            self._gradients(rows.buffer_info()[0], len(products))
            return
        for each, count in zip(products, counts, strict=True):
            one = array("q", each.numbers(start))
            share(self._gradient, one.buffer_info()[0], max(1, count))

    def sum(self, vectors: Sequence[tuple[int, int, int, bool, int, int]]) -> None:
        """Add the gradients of vectors to those of parameters, each a ``sum_t`` of gemm.c.

        That is how many slices it has been summed in and how far apart, its width, whether it is of
        one number that all units share, and the addresses of the first slice and of the result.
        """
        rows = array("q", [number for vector in vectors for number in vector])
        self._sums(rows.buffer_info()[0], len(vectors))

    def packed_size(self, units: int, inner: int) -> int:
        """How many numbers a kernel of units x inner has once it is packed."""
        return -(-units // self.panel) * self.panel * inner

    def pack(self, kernels: Iterable[tuple[int, int, int, bool, int, int]]) -> None:
        """Pack kernels, each a ``kernel_t`` of gemm.c.

        That is how many blocks it has, their units and columns, whether it is transposed, and the
        addresses of the kernel and of where it is packed.
        """
        rows = array("q", [number for kernel in kernels for number in kernel])
        self._panels(rows.buffer_info()[0], len(rows) // 6)


@cache
def products(real: Real) -> Products:
    """The products in one precision, compiled or loaded when first asked for."""
    return Products(real)
