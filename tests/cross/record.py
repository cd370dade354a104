"""Calls of kernels on this machine, written to a file for :file:`driver.c` to make elsewhere.

A call is all memory that the kernel is given, where its pointers lead, and that memory afterwards.
How wide the panels of a packed weight are depends on the CPU that the products are compiled for:
``portable`` is that of plain x86-64 and of Arm.
"""

from __future__ import annotations

import ctypes
import struct
import sys
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from torchrecurrent import BaseRecurrentCell
from torchrecurrent.catalog.listing import cells, layer_of
from torchrecurrent.engine.cpu import compiler, kernel, products
from torchrecurrent.engine.cpu.math import source_file
from torchrecurrent.engine.cpu.sharing import Sharing
from torchrecurrent.engine.cpu.target import FLAGS, NATIVE

from ..making import input_for
from ..test_engine import build

__all__ = ["sources", "table"]

WIDTH, STEPS, BATCH = 17, 4, 6
LENGTHS = [4, 1, 3, 2, 2, 4]
KEEP = ("float", "double")
#: The functions of the products that are called.
PRODUCTS = ("blocks", "panel_width", "gradient_work", "gradient")


def sources() -> dict[str, str]:
    """C by the name of its file: the products in either precision, each cell in one of the two."""
    found = {}
    for real in KEEP:
        renamed = "".join(
            f"#define {name} {real}_{name}\n" for name in (*PRODUCTS, "panels", "gradients", "sums")
        )
        text = f"{renamed}typedef {real} real;\n{source_file('call.h')}\n{source_file('gemm.c')}"
        found[f"{real}.c"] = text
    for name, dtype in _turns().items():
        text = _layer(name, dtype).kernel_source(dtype)
        renamed = "".join(f"#define {f} {name}_{f}\n" for f in ("forward", "backward"))
        found[f"{name}.c"] = renamed + text
    return found


def table() -> str:
    """C that finds a function by its name."""
    names = [f"{name}_{part}" for name in _turns() for part in ("forward", "backward")]
    names += [f"{real}_{part}" for real in KEEP for part in PRODUCTS]
    declared = "".join(f"void {name}(void);\n" for name in names)
    rows = "".join(f'    if (!strcmp(name, "{name}")) return (void *){name};\n' for name in names)
    return (
        f"#include <string.h>\n{declared}void *lookup(const char *name);\n"
        f"void *lookup(const char *name) {{\n{rows}    return 0;\n}}\n"
    )


def _turns() -> dict[str, torch.dtype]:
    """The precision in which each cell is tried, in turn."""
    dtypes = (torch.float32, torch.float64)
    return {name: dtypes[k % 2] for k, name in enumerate(cells())}


def _layer(name: str, dtype: torch.dtype) -> Any:
    cell: type[BaseRecurrentCell] = cells()[name]
    torch.manual_seed(0)
    return build(layer_of(cell), WIDTH, dtype=dtype)


class _Recorder:
    """Writes down the calls of one cell after the other."""

    def __init__(self) -> None:
        self.calls: list[bytes] = []
        self.cell = ""

    def record(self, path: Path) -> None:
        for name, dtype in _turns().items():
            self.cell = name
            layer = _layer(name, dtype)
            input = input_for(layer, STEPS, BATCH, dtype=dtype)
            with self.watching():
                layer(input, lengths=LENGTHS)[0].square().sum().backward()
                with torch.no_grad():  # few rows, whose weights are not packed
                    layer(input[:1, :2].contiguous())
        path.write_bytes(_ints(len(self.calls)) + b"".join(self.calls))

    @contextmanager
    def watching(self) -> Iterator[None]:
        run, add = kernel.Kernel._run, products.Products.add

        def watched_run(self_: kernel.Kernel, function: Any, *rest: Any) -> None:
            self._run(self_, function, *rest)

        def watched_add(
            self_: products.Products, given: Sequence[products.Product], like: Tensor
        ) -> None:
            for each in given:
                numbers = [each.rows, each.columns, each.units, *each.strides, 1]
                shapes = (
                    (each.rows, each.units),
                    (each.rows, each.columns),
                    (each.units, each.columns),
                )
                memory = _Memory(
                    [
                        (start, ((rows - 1) * stride + columns) * like.element_size())
                        for start, stride, (rows, columns) in zip(
                            each.addresses, each.strides, shapes, strict=True
                        )
                    ]
                )
                add(self_, [each], like)
                head = _head(f"{self.cell}_gradient", like.dtype, 1, self_.panel, numbers)
                self.calls.append(head + _ints(0, 0, 0, 0) + memory.written(each.addresses))

        with (
            patch.object(kernel.Kernel, "_run", watched_run),
            patch.object(products.Products, "add", watched_add),
        ):
            yield
        assert kernel.Kernel._run is run

    def _run(
        self,
        made: kernel.Kernel,
        function: Any,
        tensors: Mapping[str, Tensor],
        weights: Mapping[str, Tensor],
        batch: Any,
        constants: Sequence[float],
        flags: tuple[bool, bool],
        sharing: Sharing,
    ) -> None:
        found = made.parameters.addresses(weights)
        found |= {name: tensor.data_ptr() for name, tensor in tensors.items()}
        given = [*tensors.values(), *weights.values()]
        if made.sums:
            given.append(batch.data.new_zeros(sharing.slices * made.sums))
            found["vectors"] = given[-1].data_ptr()
        storages = (each.untyped_storage() for each in given)
        memory = _Memory(list({each.data_ptr(): each.nbytes() for each in storages}.items()))
        pointers = [found.get(slot) for slot in made.source.slots]
        addresses, numbers = array("Q", [each or 0 for each in pointers]), array("d", constants)
        sizes, offsets = batch.sizes, batch.offsets()
        made.launch(
            function,
            addresses.buffer_info()[0],
            numbers.buffer_info()[0],
            (batch.steps, batch.data.size(-1), batch.size, *flags),
            sharing,
            0 if sizes is None else sizes.data_ptr(),
            0 if offsets is None else offsets.data_ptr(),
        )
        part = "forward" if function is made.call else "backward"
        widths = list(made.widths)
        head = _head(
            f"{self.cell}_{part}",
            batch.data.dtype,
            0,
            made.products.panel,
            [batch.steps, batch.data.size(-1), batch.size, *map(int, flags), sharing.slices],
        )
        for each in (sizes, offsets):
            values = [] if each is None else each.tolist()
            head += _ints(len(values), *values)
        head += _ints(len(widths), *widths) + _ints(len(constants))
        head += struct.pack(f"<{len(constants)}d", *constants)
        self.calls.append(head + memory.written(pointers))


class _Memory:
    """All memory that a call is given, as it is before."""

    def __init__(self, regions: Sequence[tuple[int, int]]) -> None:
        self.regions = [(start, size) for start, size in regions if start]
        self.before = [ctypes.string_at(start, size) for start, size in self.regions]

    def written(self, pointers: Sequence[int | None]) -> bytes:
        """It, what it is now, and where pointers lead."""
        found = _ints(len(self.regions))
        for (start, size), before in zip(self.regions, self.before, strict=True):
            found += _ints(size) + _padded(before) + _padded(ctypes.string_at(start, size))
        return found + _ints(len(pointers)) + b"".join(map(self._place, pointers))

    def _place(self, pointer: int | None) -> bytes:
        if not pointer:
            return _ints(-1, 0)
        return next(
            _ints(k, pointer - start)
            for k, (start, size) in enumerate(self.regions)
            if start <= pointer <= start + size
        )


def _head(name: str, dtype: torch.dtype, kind: int, panel: int, given: Sequence[int]) -> bytes:
    text = name.encode() + b"\0"
    numbers = [*given, *[0] * (11 - len(given))]
    return _ints(len(text)) + _padded(text) + _ints(dtype == torch.float64, kind, panel, *numbers)


def _ints(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}q", *values)


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 8)


def main(path: str, kind: str) -> None:
    """Record into a file, with kernels for this CPU (``native``) or for any (``portable``)."""
    torch.set_num_threads(1)
    flags = FLAGS if kind == "native" else tuple(flag for flag in FLAGS if flag != NATIVE)
    with patch.object(compiler, "FLAGS", flags):
        _Recorder().record(Path(path))


if __name__ == "__main__":
    main(*sys.argv[1:])
