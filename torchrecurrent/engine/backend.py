"""Which path runs a sequence, and why."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal, cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from .. import roles
from . import reference
from .compiler import CompilerError
from .emit_c import emit_c
from .launch import REALS, Kernel
from .operator import register, sequence
from .plan import make_plan
from .trace import UntraceableError

if TYPE_CHECKING:
    from ..cell import BaseRecurrentCell

__all__ = ["Backend", "backend", "explain", "kernel_source", "run"]

Backend = Literal["auto", "reference", "c"]
_CHOICES = ("auto", "reference", "c")
_chosen: ContextVar[Backend | None] = ContextVar("torchrecurrent_backend", default=None)
#: Of each cell, what its kernels depend on, and the kernel of each dtype or why there is none.
_kernels: WeakKeyDictionary[Any, tuple[object, dict[torch.dtype, int | str]]] = WeakKeyDictionary()


def _current() -> Backend:
    chosen = _chosen.get() or os.environ.get("TORCHRECURRENT_BACKEND", "auto")
    return _checked(chosen)


def _checked(name: str) -> Backend:
    if name not in _CHOICES:
        raise ValueError(f"backend should be one of {_CHOICES}, got {name!r}")
    return cast("Backend", name)


@contextmanager
def backend(name: Backend) -> Iterator[None]:
    """Choose the path within a ``with`` block: ``"auto"``, ``"reference"`` or ``"c"``.

    ``"c"`` raises RuntimeError where the kernel can't run; ``"auto"`` runs the reference
    there. Outside any block the environment variable ``TORCHRECURRENT_BACKEND`` decides.

    Raises:
        ValueError: an unknown name.
    """
    token = _chosen.set(_checked(name))
    try:
        yield
    finally:
        _chosen.reset(token)


def run(
    cell: Any, data: Tensor, batch_sizes: Sequence[int], states: tuple[Tensor, ...] | None
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """A whole sequence, as :func:`torchrecurrent.engine.reference.run`, by the path chosen."""
    if torch.compiler.is_compiling():  # it traces the loop, and could not trace what follows
        return reference.run(cell, data, batch_sizes, states)
    chosen = _current()
    reason = "the backend 'reference' was chosen" if chosen == "reference" else ""
    handle = reason or _kernel(cell, data, states)
    if isinstance(handle, int):
        assert states is not None
        return _fused(cell, handle, data, batch_sizes, states)
    if chosen == "c":
        raise RuntimeError(f"backend='c' can't run {type(cell).__name__}: {handle}")
    return reference.run(cell, data, batch_sizes, states)


def explain(cell: Any, data: Tensor, states: tuple[Tensor, ...] | None) -> str:
    """One sentence: which path would run, and why."""
    if _current() == "reference":
        return "reference: the backend 'reference' was chosen"
    handle = _kernel(cell, data, states)
    if isinstance(handle, int):
        return f"c: one fused kernel runs the whole sequence in {data.dtype}"
    return f"reference: {handle}"


def kernel_source(cell: Any, dtype: torch.dtype) -> str:
    """The C of a cell's kernel.

    Raises:
        TypeError: it has none; the message says why.
    """
    try:
        reason = _overrides(cell)
        if not reason:
            return emit_c(make_plan(cell), REALS[dtype]).text
    except UntraceableError as error:
        reason = str(error)
    except KeyError:
        reason = f"there is no kernel for {dtype}"
    raise TypeError(f"{type(cell).__name__} has no kernel: {reason}")


def _fused(
    cell: BaseRecurrentCell,
    handle: int,
    data: Tensor,
    batch_sizes: Sequence[int],
    states: tuple[Tensor, ...],
) -> tuple[Tensor, tuple[Tensor, ...]]:
    weights = [w for w in cell.kernels().values() if w is not None]
    constants = torch.tensor(
        [getattr(cell, argument.name) for argument in cell.signature.having(roles.ConstantRole)],
        dtype=torch.float64,
    )
    sizes = torch.tensor(batch_sizes, dtype=torch.int64)
    narrow = data.dtype not in REALS  # half precision is computed in float32
    if narrow:
        data, weights = data.float(), [w.float() for w in weights]
        states = tuple(state.float() for state in states)
    output, last = sequence(
        handle,
        data.contiguous(),
        sizes,
        [w.contiguous() for w in weights],
        [state.contiguous() for state in states],
        constants,
    )
    if narrow:
        dtype = next(cell.parameters()).dtype
        return output.to(dtype), tuple(state.to(dtype) for state in last)
    return output, last


def _kernel(cell: Any, data: Tensor, states: tuple[Tensor, ...] | None) -> int | str:
    """The kernel for this call, or the reason why there is none."""
    reason = _refusal(cell, data, states)
    if reason:
        return reason
    fingerprint = _fingerprint(cell)
    known = _kernels.get(cell)
    if known is None or known[0] != fingerprint:
        known = (fingerprint, {})
        _kernels[cell] = known
    dtype = data.dtype if data.dtype in REALS else torch.float32
    if dtype not in known[1]:
        known[1][dtype] = _build(cell, dtype)
    return known[1][dtype]


def _refusal(cell: Any, data: Tensor, states: tuple[Tensor, ...] | None) -> str:
    """Why this call can't be fused, whatever the cell's step is."""
    reason = _overrides(cell)
    if reason:
        return reason
    if sys.platform == "win32":
        return "there are no kernels on Windows yet"
    if data.device.type != "cpu":
        return f"there is no kernel for the device {data.device.type!r} yet"
    if data.dtype not in (*REALS, torch.bfloat16):
        return f"there is no kernel for {data.dtype}"
    if torch.is_autocast_enabled("cpu"):
        return "autocast decides the dtypes"
    if data.numel() == 0:
        return "there is nothing to compute"
    if torch._C._functorch.peek_interpreter_stack() is not None:
        return "a torch.func transformation is active"
    if torch.autograd.forward_ad._current_level >= 0:
        return "forward-mode differentiation is active"
    values = [data, *(states or ()), *cell.parameters()]
    if any(type(value) not in (Tensor, torch.nn.Parameter) for value in values):
        return "a tensor is of a subclass"
    return ""


def _overrides(cell: Any) -> str:
    """Why the step is not all that this cell does."""
    from ..cell import BaseRecurrentCell

    kind = type(cell)
    if not isinstance(cell, BaseRecurrentCell):
        return "the cell is a module of another package"
    if kind.update is not BaseRecurrentCell.update or kind.project is not BaseRecurrentCell.project:
        return f"{kind.__name__} overrides update or project"
    return ""


def _fingerprint(cell: BaseRecurrentCell) -> object:
    """What may be changed on an instance and changes its kernel."""
    options = tuple(getattr(cell, name, None) for name in type(cell).option_names)
    present = tuple(name for name in cell._names if getattr(cell, name) is not None)
    return options, present


def _build(cell: BaseRecurrentCell, dtype: torch.dtype) -> int | str:
    try:
        plan = make_plan(cell)
    except UntraceableError as error:
        return str(error)
    try:
        kernel = Kernel(plan, dtype)
    except CompilerError as error:
        warnings.warn(f"torchrecurrent runs without fused kernels: {error}", stacklevel=2)
        return f"no kernel could be compiled: {error}"
    names = [name for name, value in cell.kernels().items() if value is not None]
    return register(kernel, names)
