"""Which path runs a sequence, and why."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

import torch
from torch import Tensor

from . import reference
from .boundary import check_parameters, obstacle
from .compiler import CompilerError
from .eager import join_delay, sequence, split_delay
from .emit_c import emit_c
from .emit_triton import NARROW, emit_triton
from .fused import Fused, fused
from .launch import REALS
from .lifted import is_elementwise
from .numbered import numbered
from .operator import sequence_operator
from .torch_private import constant_while_compiling
from .triton_load import refusal

if TYPE_CHECKING:
    from ..cell import BaseRecurrentCell

__all__ = ["NO_STEP", "Backend", "backend", "explain", "kernel_source", "no_kernel", "run"]

Backend = Literal["auto", "reference", "c", "triton"]


class Cell(reference.Stepper, Protocol):
    """What the choice of a path asks of a cell."""

    #: Why no kernel can run it, whatever its step is; empty if one may.
    @property
    def no_kernel(self) -> str: ...

    #: The shapes of its parameters.
    @property
    def parameter_shapes(self) -> Mapping[str, tuple[int, ...]]: ...

    def kernels(self) -> reference.Kernels: ...


_CHOICES = ("auto", "reference", "c", "triton")
#: Why a module of others runs the reference loop.
NO_STEP = "the cell is a module without a declared step"
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
    cell: Cell, data: Tensor, sizes: Tensor | None, states: tuple[Tensor, ...] | None
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """A whole sequence, as :func:`torchrecurrent.engine.reference.run`, by the path chosen."""
    kernels = cell.kernels()
    if torch.compiler.is_compiling():
        key = _key_while_compiling(cell, data)
        if key is not None:
            assert states is not None
            return _run_operator(cast("BaseRecurrentCell", cell), key, data, sizes, states, kernels)
    else:
        check_parameters(cell.parameter_shapes, kernels, data)
        found = _choose(cell, data, states, kernels)
        if found is not None:
            assert states is not None
            return _run_fused(cast("BaseRecurrentCell", cell), found, data, sizes, states, kernels)
    return _run_reference(cell, data, sizes, states, kernels)


def step(
    cell: BaseRecurrentCell, input: Tensor, states: tuple[Tensor, ...]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """One step of ``(N, I)`` or ``(I,)``, by the path chosen.

    The kernel runs where no gradients are due: a loop over steps written in Python may want
    them of any order.
    """
    kernels = cell.kernels()
    if not torch.compiler.is_compiling():
        check_parameters(cell.parameter_shapes, kernels, input)
        if not torch.is_grad_enabled() and input.dim() == 2:
            found = _choose(cell, input, states, kernels)
            if found is not None:
                return _step_fused(cell, found, input, states, kernels)
    given, dtype = input.dtype, _autocast_dtype(input, kernels)
    if dtype is not None:
        states = tuple(state.to(dtype) for state in states)
    output, states = cell.update(cell.project(input), states, kernels)
    return (output, states) if dtype is None else _narrowed(output, states, given)


def _step_fused(
    cell: BaseRecurrentCell,
    found: Fused,
    input: Tensor,
    states: tuple[Tensor, ...],
    kernels: reference.Kernels,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    dtype = input.dtype
    is_c = not found.is_triton(input.device.type)
    if is_c and dtype in REALS and not cell.signature.has_delay:
        weights = [w.contiguous() for w in kernels.values() if w is not None]
        if all(tensor.dtype is dtype for tensor in (*weights, *states)):
            made = found.one_step(dtype)(
                input.contiguous(),
                weights,
                [state.contiguous() for state in states],
                [float(getattr(cell, name)) for name in cell.signature.constants],
            )
            if made is not None:
                return made
    output, states = _run_fused(cell, found, input.unsqueeze(0), None, states, kernels)
    return output[0], states


def _autocast_dtype(data: Tensor, kernels: reference.Kernels) -> torch.dtype | None:
    """What the states of a reference loop are under autocast; ``None``: there is none."""
    if not torch.is_autocast_enabled(data.device.type):
        return None
    return next((weight.dtype for weight in kernels.values() if weight is not None), None)


def _narrowed(
    output: Tensor, states: tuple[Tensor, ...], dtype: torch.dtype
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Results in the dtype of the input: the rule under autocast, on every path."""
    return output.to(dtype), tuple(state.to(dtype) for state in states)


def _run_reference(
    cell: Cell,
    data: Tensor,
    sizes: Tensor | None,
    states: tuple[Tensor, ...] | None,
    kernels: reference.Kernels,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    given, dtype = data.dtype, _autocast_dtype(data, kernels)
    if dtype is None or states is None:
        return reference.run(cell, data, sizes, states, kernels)
    # Products are autocast's; what is carried from step to step is as precise as the weights.
    states = tuple(state.to(dtype) for state in states)
    return _narrowed(*reference.run(cell, data, sizes, states, kernels), given)


def _choose(
    cell: Cell,
    data: Tensor,
    states: tuple[Tensor, ...] | None,
    kernels: reference.Kernels,
) -> Fused | None:
    """The kernel to run; ``None``: the reference."""
    chosen = _current()
    if chosen == "reference":
        return None
    found = _usable(cell, data, states, kernels, _kind(chosen))
    if isinstance(found, Fused):
        return found
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


@constant_while_compiling
def _constant_key(
    number: int, dtype: torch.dtype, device_type: str, *structure: object
) -> str | None:
    """The key of the kernel that a cell has, for :func:`torch.compile` to keep."""
    chosen, cell = _current(), cast("BaseRecurrentCell", numbered(number))
    if chosen == "reference" or _exporting_to_onnx():
        return None
    kind = _kind(chosen)
    found = _kernel_of(cell, dtype, torch.device(device_type), kind)
    if isinstance(found, Fused):
        return found.key
    if chosen in ("c", "triton"):
        raise RuntimeError(f"backend={chosen!r} can't run {type(cell).__name__}: {found}")
    return None


def _exporting_to_onnx() -> bool:
    """Whether what is traced has to consist of ONNX's operators."""
    return "torch.onnx" in sys.modules and torch.onnx.is_in_onnx_export()


def explain(cell: Cell, data: Tensor, states: tuple[Tensor, ...] | None) -> str:
    """One sentence: which path would run, and why."""
    chosen = _current()
    if chosen == "reference":
        return "reference: the backend 'reference' was chosen"
    kind, kernels = _kind(chosen), cell.kernels()
    check_parameters(cell.parameter_shapes, kernels, data)
    found = _usable(cell, data, states, kernels, kind)
    if not isinstance(found, Fused):
        return f"reference: {found}"
    if kind == "c" or is_elementwise(found.plan):
        return f"{kind}: one fused kernel runs the whole sequence in {data.dtype}"
    return f"triton: products and fused kernels run each time step in {data.dtype}"


def kernel_source(
    cell: BaseRecurrentCell, dtype: torch.dtype, device: torch.device | str = "cpu"
) -> str:
    """The text of a cell's kernel: C for the CPU, Triton for ``"cuda"``.

    Raises:
        TypeError: it has none; the message says why.
    """
    kind, reason = torch.device(device).type, cell.no_kernel
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
    found = cell.no_kernel or fused(cell)
    return found if isinstance(found, str) else ""


def _prepared(
    cell: BaseRecurrentCell,
    data: Tensor,
    states: tuple[Tensor, ...],
    kernels: reference.Kernels,
    narrow: bool,
) -> tuple[Tensor, list[Tensor], list[Tensor], list[float]]:
    """Data, parameters, states and numbers as a kernel takes them.

    Args:
        narrow: whether the kernel computes bfloat16 and float16 by itself.
    """
    weights = [weight for weight in kernels.values() if weight is not None]
    dtype = weights[0].dtype
    if dtype in NARROW and (data.dtype != dtype or not narrow):
        dtype = torch.float32
    if any(tensor.dtype != dtype for tensor in (data, *weights, *states)):  # narrow, or autocast
        data, weights = data.to(dtype), [w.to(dtype) for w in weights]
        states = tuple(state.to(dtype) for state in states)
    return (
        data.contiguous(),
        [weight.contiguous() for weight in weights],
        [state.contiguous() for state in split_delay(cell, states)],
        [float(getattr(cell, name)) for name in cell.signature.constants],
    )


def _run_fused(
    cell: BaseRecurrentCell,
    found: Fused,
    data: Tensor,
    sizes: Tensor | None,
    states: tuple[Tensor, ...],
    kernels: reference.Kernels,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    narrow = found.is_triton(data.device.type)
    ready, weights, first, constants = _prepared(cell, data, states, kernels, narrow)
    output, last = sequence(found, cell, ready, sizes, weights, first, constants)
    last = join_delay(cell, last)
    return (output, last) if ready.dtype == data.dtype else _narrowed(output, last, data.dtype)


def _run_operator(
    cell: BaseRecurrentCell,
    key: str,
    data: Tensor,
    sizes: Tensor | None,
    states: tuple[Tensor, ...],
    kernels: reference.Kernels,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The same as one operator of the graph that is being traced."""
    narrow = data.device.type == "cuda"
    ready, weights, first, constants = _prepared(cell, data, states, kernels, narrow)
    keep = torch.is_grad_enabled() and any(
        tensor.requires_grad for tensor in (ready, *weights, *first)
    )
    output, *rest = sequence_operator(key, ready, sizes, weights, first, constants, keep)
    last = join_delay(cell, tuple(rest[: len(first)]))
    return (output, last) if ready.dtype == data.dtype else _narrowed(output, last, data.dtype)


def _usable(
    cell: Cell,
    data: Tensor,
    states: tuple[Tensor, ...] | None,
    kernels: reference.Kernels,
    kind: Backend,
) -> Fused | str:
    """What would run this call by one kind of kernel, or the reason why nothing does."""
    if cell.no_kernel:
        return cell.no_kernel
    if data.numel() == 0:
        return "there is nothing to compute"
    tensors = [("the input", data), *((f"state {k}", s) for k, s in enumerate(states or ()))]
    tensors += [(name, weight) for name, weight in kernels.items() if weight is not None]
    reason = obstacle("cpu" if kind == "c" else data.device.type, tensors)
    if reason and kind == "c" and data.device.type != "cpu":
        return _no_device(data.device)
    return reason or _kernel_of(cast("BaseRecurrentCell", cell), data.dtype, data.device, kind)


def _no_device(device: torch.device) -> str:
    """Why the C kernel does not run on a device; empty if it does."""
    if device.type == "cuda":
        return "the Triton kernels have not run on a GPU yet; backend('triton') chooses them"
    return "" if device.type == "cpu" else f"there is no C kernel for the device {device.type!r}"


def _kernel_of(
    cell: BaseRecurrentCell, dtype: torch.dtype, device: torch.device, kind: Backend
) -> Fused | str:
    """What would run a cell by one kind of kernel, whatever the call, or why nothing does."""
    if cell.no_kernel:
        return cell.no_kernel
    if sys.platform == "win32":
        return "there are no kernels on Windows yet"
    if dtype not in (*REALS, *NARROW):
        return f"there is no kernel for {dtype}"
    if reason := refusal(device) if kind == "triton" else _no_device(device):
        return reason
    found = fused(cell)
    if isinstance(found, Fused) and kind == "triton":
        return found if device.type == "cuda" else found.by_triton()
    if isinstance(found, Fused):
        try:
            found.kernel(torch.float32 if dtype in NARROW else dtype, "cpu")
        except CompilerError as error:
            if str(error) not in _warned:
                _warned.add(str(error))
                warnings.warn(f"torchrecurrent runs without fused kernels: {error}", stacklevel=2)
            return f"no kernel could be compiled: {error}"
    return found
