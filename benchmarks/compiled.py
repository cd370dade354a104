"""The reference loop under ``torch.compile``, which unrolls all of its time steps."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from rich.progress import track
from torch import Tensor, nn

import torchrecurrent as tr
from torchrecurrent import backend

from .timing import Row, layer_row

__all__ = ["CompileTime", "compiled_rows", "fresh_cache"]

SOURCE = "torch.compile"


@dataclass(frozen=True)
class CompileTime:
    """Seconds of the first call, which compiles; torch.compile's own imports are done by then."""

    cell: str
    kind: str
    seconds: float


@contextmanager
def fresh_cache() -> Iterator[None]:
    """Hide everything that an earlier run has compiled within this block."""
    name = "TORCHINDUCTOR_CACHE_DIR"
    before = os.environ.get(name)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ[name] = folder
        try:
            yield
        finally:
            del os.environ[name]
            if before is not None:
                os.environ[name] = before


def compiled_rows(x: Tensor, hidden: int) -> tuple[list[Row], list[CompileTime], dict[str, str]]:
    """Return compiled rows, the time that took, and why rows are missing.

    Call it, and run the rows, within :func:`fresh_cache`.
    """
    rows: list[Row] = []
    times: list[CompileTime] = []
    failed: dict[str, str] = {}
    torch.compile(torch.neg)(x)
    layers = {"LSTM": tr.LSTM(x.size(-1), hidden), "BR": tr.BR(x.size(-1), hidden)}
    for cell, layer in track(layers.items(), description=SOURCE, transient=True):
        row = layer_row(cell, SOURCE, layer, x, run=_compiled(layer), warm_up=4)
        try:
            for kind, call in row.calls.items():
                start = time.perf_counter()
                call()
                times.append(CompileTime(cell, kind, time.perf_counter() - start))
        except Exception as error:  # such as a missing compiler
            failed[row.name] = f"{type(error).__name__}: {error}".splitlines()[0]
        else:
            rows.append(row)
    return rows, times, failed


def _compiled(layer: nn.Module) -> Callable[[Tensor], Tensor]:
    compiled = torch.compile(layer, dynamic=False, fullgraph=True)

    def run(x: Tensor) -> Tensor:
        with backend("reference"):  # not its kernel; the choice while tracing is kept
            output: Tensor = compiled(x)[0]
        return output

    return run
