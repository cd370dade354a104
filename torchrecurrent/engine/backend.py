"""Which path runs a sequence, and why."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from torch import Tensor

from . import reference
from .compiler import CompilerError
from .eager import sequence
from .emit_c import emit_c
from .emit_triton import NARROW, emit_triton
from .fused import Fused, fused, fused_by_key
from .launch import REALS
from .lifted import is_elementwise
from .numbered import numbered
from .triton_load import refusal

if TYPE_CHECKING:
    from ..cell import BaseRecurrentCell

__all__ = ["Backend", "backend", "explain", "kernel_source", "no_kernel", "run"]

Backend = Literal["auto", "reference", "c", "triton"]
_CHOICES = ("auto", "reference", "c", "triton")
_PLAIN = (Tensor, torch.nn.Parameter, type(None))
_chosen: ContextVar[Backend | None] = ContextVar("torchrecurrent_backend", default=None)
_warned: set[str] = set()


def _current() -> Backend:
    return _checked(_chosen.get() or os.environ.get("TORCHRECURRENT_BACKEND", "auto"))


def _checked(name: str) -> Backend:
    if name not in _CHOICES:
        raise ValueError(f"backend should be one of {_CHOICES}, got {name!r}")
    return cast("Backend", name)


@contextmanager
def backend(name: Backend) -> Iterator[None]:
    """Choose the path within a ``with`` block: ``"auto"``, ``"reference"``, ``"c"``, ``"triton"``.

    ``"c"`` is the kernel on the CPU, ``"triton"`` that on the GPU; either raises RuntimeError
    where it can't run. ``"auto"`` runs the kernel on the CPU and elsewhere the reference: the
    kernels for the GPU have not run on one yet. With ``TRITON_INTERPRET=1`` in the environment
    since before Triton was imported, ``"triton"`` runs on the CPU too, slowly. Outside any block
    the environment variable ``TORCHRECURRENT_BACKEND`` decides. :func:`torch.compile` and
    :func:`torch.export.export` keep what was chosen when they traced.

    Raises:
        ValueError: an unknown name.
    """
    token = _chosen.set(_checked(name))
    try:
        yield
    finally:
        _chosen.reset(token)


def run(
    cell: Any, data: Tensor, sizes: Tensor | None, states: tuple[Tensor, ...] | None
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """A whole sequence, as :func:`torchrecurrent.engine.reference.run`, by the path chosen."""
    if torch.compiler.is_compiling():
        key = _key_while_compiling(cell, data)
    else:
        key = _choose(cell, data, states)
    if key is None:
        return reference.run(cell, data, sizes, states)
    assert states is not None
    return _run_fused(cell, key, data, sizes, states)


def step(
    cell: BaseRecurrentCell, input: Tensor, states: tuple[Tensor, ...]
) -> tuple[Tensor, tuple[Tensor, ...]] | None:
    """One step of ``(N, I)`` by the kernel; ``None`` where the cell has to do it itself.

    That is also where gradients are due: a loop over steps written in Python may want them
    of any order.
    """
    if torch.is_grad_enabled() or torch.compiler.is_compiling() or input.dim() != 2:
        return None
    key = _choose(cell, input, states)
    if key is None:
        return None
    is_c = not fused_by_key(key).is_triton(input.device.type)
    if is_c and input.dtype in REALS and not cell.signature.has_delay:
        weights = [w.contiguous() for w in cell.kernels().values() if w is not None]
        dtype = input.dtype
        if all(tensor.dtype is dtype for tensor in (*weights, *states)):
            found = fused_by_key(key).one_step(dtype)(
                input.contiguous(),
                weights,
                [state.contiguous() for state in states],
                [float(getattr(cell, name)) for name in cell.signature.constants],
            )
            if found is not None:
                return found
    output, states = _run_fused(cell, key, input.unsqueeze(0), None, states)
    return output[0], states


def _choose(cell: Any, data: Tensor, states: tuple[Tensor, ...] | None) -> str | None:
    """The key of the kernel to run; ``None``: the reference."""
    chosen = _current()
    if chosen == "reference":
        found: Fused | str = "the backend 'reference' was chosen"
    else:
        found = _usable(cell, data, states, _kind(chosen))
    if isinstance(found, Fused):
        return found.key
    if chosen in ("c", "triton"):
        raise RuntimeError(f"backend={chosen!r} can't run {type(cell).__name__}: {found}")
    return None


def _kind(chosen: Backend) -> Backend:
    """The kernels that a choice means; Triton's, not yet run on a GPU, have to be asked for."""
    return "triton" if chosen == "triton" else "c"


def _key_while_compiling(cell: Any, data: Tensor) -> str | None:
    if not hasattr(cell, "_number"):
        return None
    # What the kernel depends on is handed over, so that a change of it compiles anew.
    values = [getattr(cell, name, None) for name in cell.option_names]
    structure = [value for value in values if not isinstance(value, float)]
    key: str | None = _constant_key(cell._number, data.dtype, data.device.type, *structure)
    return key


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _constant_key(
    number: int, dtype: torch.dtype, device_type: str, *structure: object
) -> str | None:
    """What :func:`_choose` says of a cell, for :func:`torch.compile` to keep."""
    return _choose(numbered(number), torch.empty(1, dtype=dtype, device=device_type), None)


def explain(cell: Any, data: Tensor, states: tuple[Tensor, ...] | None) -> str:
    """One sentence: which path would run, and why."""
    chosen = _current()
    if chosen == "reference":
        return "reference: the backend 'reference' was chosen"
    kind = _kind(chosen)
    found = _usable(cell, data, states, kind)
    if not isinstance(found, Fused):
        return f"reference: {found}"
    if kind == "c" or is_elementwise(found.plan):
        return f"{kind}: one fused kernel runs the whole sequence in {data.dtype}"
    return f"triton: products and fused kernels run each time step in {data.dtype}"


def kernel_source(cell: Any, dtype: torch.dtype, device: torch.device | str = "cpu") -> str:
    """The text of a cell's kernel: C for the CPU, Triton for ``"cuda"``.

    Raises:
        TypeError: it has none; the message says why.
    """
    kind, reason = torch.device(device).type, _overrides(type(cell))
    if kind not in ("cpu", "cuda"):
        reason = reason or f"there are kernels for 'cpu' and 'cuda', not for {kind!r}"
    elif not reason and dtype not in ((*REALS, *NARROW) if kind == "cuda" else REALS):
        reason = f"there is no kernel for {dtype}"
    if not reason:
        found = fused(cell)
        if isinstance(found, Fused):
            if kind == "cuda":
                return emit_triton(found.plan, dtype).text
            return emit_c(found.plan, REALS[dtype]).text
        reason = found
    raise TypeError(f"{type(cell).__name__} has no kernel: {reason}")


def no_kernel(cell: BaseRecurrentCell) -> str:
    """Why no kernel can run a cell, whatever the call; empty if one can."""
    found = _overrides(type(cell)) or fused(cell)
    return found if isinstance(found, str) else ""


def _run_fused(
    cell: BaseRecurrentCell,
    key: str,
    data: Tensor,
    sizes: Tensor | None,
    states: tuple[Tensor, ...],
) -> tuple[Tensor, tuple[Tensor, ...]]:
    weights = [w for w in cell.kernels().values() if w is not None]
    given = data.dtype
    dtype = weights[0].dtype
    if dtype in NARROW and (given != dtype or not _runs_triton(key, data)):
        dtype = torch.float32
    if any(tensor.dtype != dtype for tensor in (data, *weights, *states)):  # narrow, or autocast
        data, weights = data.to(dtype), [w.to(dtype) for w in weights]
        states = tuple(state.to(dtype) for state in states)
    has_delay = cell.signature.has_delay
    if has_delay:  # to the kernel each of its steps is a state
        states = (*states[:-1], *states[-1].split(cell.output_size, -1))
    output, last = sequence(
        key,
        data.contiguous(),
        sizes,
        [w.contiguous() for w in weights],
        [state.contiguous() for state in states],
        [float(getattr(cell, name)) for name in cell.signature.constants],
    )
    if has_delay:
        count = len(cell.state_names) - 1
        last = (*last[:count], torch.cat(last[count:], -1))
    if dtype != given:
        output, last = output.to(given), tuple(state.to(given) for state in last)
    return output, last


def _runs_triton(key: str, data: Tensor) -> bool:
    """Whether the kernel of a key is Triton's, which computes narrow dtypes by itself."""
    if torch.compiler.is_compiling():
        return data.device.type == "cuda"
    return fused_by_key(key).is_triton(data.device.type)


def _usable(
    cell: Any, data: Tensor, states: tuple[Tensor, ...] | None, kind: Backend
) -> Fused | str:
    """What would run this call by one kind of kernel, or the reason why nothing does."""
    reason = _overrides(type(cell)) or _refusal(cell, data, states, kind)
    if reason:
        return reason
    found = fused(cell)
    if isinstance(found, Fused) and kind == "triton":
        return found if data.device.type == "cuda" else found.by_triton()
    if isinstance(found, Fused):
        try:
            found.kernel(torch.float32 if data.dtype in NARROW else data.dtype, "cpu")
        except CompilerError as error:
            if str(error) not in _warned:
                _warned.add(str(error))
                warnings.warn(f"torchrecurrent runs without fused kernels: {error}", stacklevel=2)
            return f"no kernel could be compiled: {error}"
    return found


def _find_override(kind: type) -> str:
    """Why the step is not all that a class of cells does."""
    from ..cell import BaseRecurrentCell

    if not issubclass(kind, BaseRecurrentCell):
        return "the cell is a module without a declared step"
    if kind.update is not BaseRecurrentCell.update or kind.project is not BaseRecurrentCell.project:
        return f"{kind.__name__} overrides update or project"
    return ""


#: Kept, since it is asked at every call.
_overrides: Callable[[type], str] = cache(_find_override)


def _refusal(cell: Any, data: Tensor, states: tuple[Tensor, ...] | None, kind: Backend) -> str:
    """Why this call can't be fused, whatever the cell's step is."""
    if sys.platform == "win32":
        return "there are no kernels on Windows yet"
    if kind == "triton":
        if reason := refusal(data.device):
            return reason
    elif data.device.type == "cuda":
        return "the Triton kernels have not run on a GPU yet; backend('triton') chooses them"
    elif data.device.type != "cpu":
        return f"there is no C kernel for the device {data.device.type!r}"
    if data.dtype not in (*REALS, *NARROW):
        return f"there is no kernel for {data.dtype}"
    if data.numel() == 0:
        return "there is nothing to compute"
    if torch._C._functorch.peek_interpreter_stack() is not None:
        return "a torch.func transformation is active"
    if torch.autograd.forward_ad._current_level >= 0:
        return "forward-mode differentiation is active"
    if not torch.compiler.is_compiling():
        values = [data, *(states or ()), *cell._parameters.values()]
        if any(type(value) not in _PLAIN for value in values):
            return "a tensor is of a subclass"
    return ""
