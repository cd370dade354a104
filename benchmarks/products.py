"""Times the products of a step, as gemm.c takes them, beside the peak of a core and torch.mm.

The product is that of an LSTM's state with ``weight_hh``: N rows of H numbers with 4H x H.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from rich.progress import track

from torchrecurrent.engine.cpu.cache import load
from torchrecurrent.engine.cpu.products import Products, products
from torchrecurrent.engine.cpu.threads import entry

__all__ = ["Product", "measure"]

#: Twelve sums side by side hide the latency of a multiply-add, and fit into sixteen registers.
_PEAK = """\
#include <stdint.h>
typedef float vec __attribute__((vector_size(4 * {lanes})));
void peak(float *out) {{
    const float *given = out;
    vec sums[12], by, plus;
    for (int j = 0; j < {lanes}; j++) by[j] = given[j], plus[j] = given[j] + 1;
    for (int i = 0; i < 12; i++) sums[i] = plus;
    for (int64_t k = 0; k < {times}; k++) {{
        sums[0] = sums[0] * by + plus; sums[1] = sums[1] * by + plus;
        sums[2] = sums[2] * by + plus; sums[3] = sums[3] * by + plus;
        sums[4] = sums[4] * by + plus; sums[5] = sums[5] * by + plus;
        sums[6] = sums[6] * by + plus; sums[7] = sums[7] * by + plus;
        sums[8] = sums[8] * by + plus; sums[9] = sums[9] * by + plus;
        sums[10] = sums[10] * by + plus; sums[11] = sums[11] * by + plus;
    }}
    for (int i = 1; i < 12; i++) sums[0] += sums[i];
    for (int j = 0; j < {lanes}; j++) out[j] = sums[0][j];
}}
"""
_TIMES = 200_000


@dataclass(frozen=True)
class Product:
    """GFLOP/s on one core: of the product, of torch.mm, and of multiply-adds alone."""

    rows: int
    hidden: int
    ours: float
    torch_mm: float
    peak: float


def measure(repeats: int) -> list[Product]:
    """Measure all shapes, each interleaved with the peak."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        shapes = [(rows, hidden) for hidden in (128, 256, 512, 1024) for rows in (1, 4, 16, 32)]
        return [
            _measure(*shape, repeats)
            for shape in track(shapes, description="products", transient=True)
        ]
    finally:
        torch.set_num_threads(threads)


def _measure(rows: int, hidden: int, repeats: int) -> Product:
    engine, columns = products("float"), 4 * hidden
    state, weight = torch.randn(rows, hidden), torch.randn(columns, hidden)
    result, transposed = torch.empty(rows, columns), weight.t()
    ours = _ours(engine, state, weight, result)
    lanes = engine.panel // 2
    numbers = torch.full((lanes,), 0.5)
    peak = entry(load(_PEAK.format(lanes=lanes, times=_TIMES)), "peak")
    work = 2 * rows * columns * hidden
    times = max(1, 20_000_000 // work)
    calls: list[tuple[Callable[[], object], int, float]] = [
        (ours, times, work),
        (lambda: torch.mm(state, transposed, out=result), times, work),
        (lambda: peak(numbers.data_ptr()), 1, 2 * 12 * lanes * _TIMES),
    ]
    best = [0.0] * len(calls)
    for _ in range(repeats):
        for place, (call, count, each) in enumerate(calls):
            start = time.perf_counter()
            for _ in range(count):
                call()
            best[place] = max(best[place], count * each / (time.perf_counter() - start) / 1e9)
    return Product(rows, hidden, *best)


def _ours(
    engine: Products, state: torch.Tensor, weight: torch.Tensor, result: torch.Tensor
) -> Callable[[], object]:
    (columns, hidden), rows = weight.shape, state.size(0)
    packed = torch.empty(engine.packed_size(columns, hidden))
    engine.pack([(1, columns, hidden, False, weight.data_ptr(), packed.data_ptr())])
    number, address = ctypes.c_int64, ctypes.c_void_p
    kinds = (ctypes.c_int, *[number] * 4, address, number, address, ctypes.c_int, address, number)
    blocks = ctypes.CFUNCTYPE(None, *kinds)(engine.blocks)
    left, right, into = state.data_ptr(), packed.data_ptr(), result.data_ptr()

    def call(memory: object = packed) -> object:  # which lives as long as the function
        return blocks(1, 1, rows, columns, hidden, left, hidden, right, 0, into, columns)

    return call
