"""Kernels compiled before they are needed, several side by side."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from ..cpu.compiler import CompilerError
from ..gpu.emit import NARROW
from ..program.given import NOTHING, Given
from .boundary import obstacle
from .dispatch import compiled_kind, no_kernel
from .kernels import Fused, fused

if TYPE_CHECKING:
    from ...cell import BaseRecurrentCell

__all__ = ["compile_kernels", "prepare"]

#: For each stack, for which dtypes its cells' kernels were compiled together, and what calls gave.
_prepared: WeakKeyDictionary[nn.Module, set[tuple[torch.dtype, Given]]] = WeakKeyDictionary()


def compile_kernels(cells: Sequence[BaseRecurrentCell], dtype: torch.dtype) -> list[str]:
    """Compile the kernels of some cells, or load them.

    Returns:
        For each cell, why it has no kernel; empty if it has one.

    Raises:
        CompilerError: if one could not be compiled.
    """
    reasons = [no_kernel(cell, dtype) for cell in cells]
    real = _real(dtype)
    made = [fused(cell) for cell, reason in zip(cells, reasons, strict=True) if not reason]
    found = [each for each in made if isinstance(each, Fused)]
    _compile(found, real)
    for each in found:
        each.kernel(real, "cpu")
    return reasons


def prepare(
    stack: nn.Module,
    cells: Iterable[nn.Module],
    data: Tensor,
    is_own: Callable[[nn.Module], bool],
    given: Given = NOTHING,
) -> None:
    """Compile side by side what a stack's first call would compile one after the other.

    Cells without a kernel and compilers that fail are left for the call to report.

    Args:
        stack: the module of the cells; each is prepared once.
        cells: the cells.
        data: its input.
        is_own: whether a module is a cell of this package's kind.
        given: what the call gives each step besides the input.
    """
    done = _prepared.get(stack)
    if done is None:
        done = _prepared.setdefault(stack, set())
    if (
        (data.dtype, given) in done
        or compiled_kind(data.device) != "c"
        or obstacle("cpu", [("the input", data)])
    ):
        return
    done.add((data.dtype, given))
    found = []
    for cell in cells:
        own = cast("BaseRecurrentCell", cell)
        if is_own(cell) and not no_kernel(own, data.dtype, given):
            made = fused(own, given)
            found += [made] if isinstance(made, Fused) else []
    _compile(found, _real(data.dtype))


def _real(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype in which a kernel computes."""
    return torch.float32 if dtype in NARROW else dtype


def _compile(found: Iterable[Fused], dtype: torch.dtype) -> None:
    """Compile each kernel once, one per core at a time; failures are stored in it."""
    distinct = list(dict.fromkeys(found))

    def work(each: Fused) -> None:
        with suppress(CompilerError):
            each.kernel(dtype, "cpu")

    if len(distinct) > 1:
        with ThreadPoolExecutor(min(len(distinct), _cores())) as pool:
            list(pool.map(work, distinct))


def _cores() -> int:
    """Return the number of cores that this process may use; macOS and Windows only have a total."""
    allowed: Any = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1
