"""Decides which path runs a sequence, and why."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

import torch
from torch import Tensor, nn

from ...checks import is_autocast
from ...declaration.identity import numbered
from ...declaration.noise import noise_of
from ...declaration.step_contract import StepError
from ...interop.torch_twin import TorchTwin
from ..cpu.compiler import CompilerError
from ..cpu.emit import emit_c
from ..cpu.kernel import REALS
from ..gpu.emit import NARROW, emit_triton
from ..gpu.hoisted import is_elementwise
from ..gpu.kernel import TritonKernel
from ..gpu.load import refusal
from ..program.batch import Batch
from ..program.given import NOTHING, Given
from . import reference
from .at_once import Newton
from .boundary import check_parameters, obstacle
from .choice import Backend, current, kind_for, takes_twins
from .dry_run import dry_run
from .gaps import has_gaps
from .kernels import Fused, fused
from .newton_choice import explain_newton, newton_of_call
from .torch_private import constant_while_compiling, without_modes
from .trust import doubt, mode
from .twin import twin_of

if TYPE_CHECKING:
    from ...cell import BaseRecurrentCell

__all__ = [
    "Cell",
    "choose",
    "compiled_kind",
    "explain",
    "kernel_source",
    "key_while_compiling",
    "no_kernel",
    "sees_to",
]


class Cell(reference.Stepper, Protocol):
    """The attributes of a cell that the choice of a path needs."""

    #: Why no kernel can run it, whatever its step is; empty if one may.
    @property
    def no_kernel(self) -> str: ...

    #: The shapes of its parameters.
    @property
    def parameter_shapes(self) -> Mapping[str, tuple[int, ...]]: ...

    def effective_parameters(self) -> reference.EffectiveParameters: ...

    def draw_noise(self, input: Tensor, states: tuple[Tensor, ...]) -> dict[str, Tensor]: ...


#: The paths that see to the flags of steps, on the CPU.
_SEEING = ("auto", "reference", "c")
_warned: set[str] = set()


def choose(
    cell: Cell,
    data: Tensor,
    sizes: Tensor | None,
    states: tuple[Tensor, ...] | None,
    parameters: reference.EffectiveParameters,
    given: Given = NOTHING,
) -> Fused | TorchTwin | Newton | None:
    """Return the kernel to run; ``None``: the reference."""
    chosen = current()
    if chosen == "reference":
        return None
    if chosen == "newton":
        return newton_of_call(cell, data, states, parameters, given)
    found = _usable(cell, data, sizes, states, parameters, kind_for(chosen, data.device), given)
    if not isinstance(found, str):
        return found
    if chosen in ("c", "triton"):
        raise RuntimeError(f"backend={chosen!r} can't run {type(cell).__name__}: {found}")
    return None


def key_while_compiling(
    cell: Any,
    data: Tensor,
    parameters: reference.EffectiveParameters,
    given: Given = NOTHING,
) -> str | None:
    if not hasattr(cell, "_number"):
        return None
    # All that the kernel depends on is passed, so that a change of it compiles anew.
    values = [getattr(cell, name, None) for name in cell.option_names]
    structure = [value for value in values if not isinstance(value, float)]
    structure += noise_of(cell).structure
    weights = [weight for weight in parameters.values() if weight is not None]
    narrow = dtype_of_kernel(data, weights, True)
    keep = torch.is_grad_enabled()
    given = given._replace(gaps=has_gaps(cell, data))
    key: str | None = _constant_key(
        cell._number, data.dtype, narrow, data.device, keep, *given, *structure
    )
    return key


@constant_while_compiling
def _constant_key(
    number: int,
    dtype: torch.dtype,
    narrow: torch.dtype,
    device: torch.device,
    keep: bool,
    gaps: bool,
    resets: bool,
    masks: bool,
    *structure: object,
) -> str | None:
    """Return the key of a cell's kernel, for :func:`torch.compile` to keep.

    Args:
        number: of the cell.
        dtype: of the input.
        narrow: of the tensors that a kernel is given that computes bfloat16 by itself.
        device: of the input.
        keep: whether there may be a backward pass.
        gaps: whether the time between steps is given.
        resets: whether sequences may begin anew.
        masks: whether steps may be masked.
        structure: what else the kernel depends on.
    """
    chosen, cell = current(), cast("BaseRecurrentCell", numbered(number))
    if chosen in ("reference", "newton"):  # tracers can't ask whether an iteration was the last
        return None
    kind = kind_for(chosen, device)
    with without_modes():  # tracers have no real tensors, with which a first kernel is tried
        found = _kernel_of(cell, dtype, device, kind, Given(gaps, resets, masks))
        if isinstance(found, Fused) and kind == "triton" and chosen == "auto":
            kernel = cast("TritonKernel", found.kernel(narrow, device.type))
            found = doubt(cell, found, kernel, narrow, device, kernel.any_forms(keep)) or found
    if isinstance(found, Fused) and found.reads_values:  # the reference sees them change
        found = "compiled code would keep the numbers that its step reads from outside"
    if isinstance(found, Fused):
        return found.key
    if chosen in ("c", "triton"):
        raise RuntimeError(f"backend={chosen!r} can't run {type(cell).__name__}: {found}")
    return None


def explain(
    cell: Cell,
    data: Tensor,
    states: tuple[Tensor, ...] | None,
    sizes: Tensor | None = None,
    given: Given = NOTHING,
) -> str:
    """Return a sentence: which path would run, and why; StepError if the step fails on all."""
    chosen = current()
    if isinstance(cell, nn.Module) and not cell.no_kernel:
        dry_run(cast("BaseRecurrentCell", cell))
    if chosen == "reference":
        return "reference: the backend 'reference' was chosen"
    kind, parameters = kind_for(chosen, data.device), cell.effective_parameters()
    check_parameters(cell.parameter_shapes, parameters, data)
    if chosen == "newton":
        dtype = dtype_of_kernel(data, [w for w in parameters.values() if w is not None], False)
        return explain_newton(cell, data, states, parameters, given, dtype)
    found = _usable(cell, data, sizes, states, parameters, kind, given)
    if isinstance(found, str):
        return f"reference: {found}"
    if isinstance(found, TorchTwin):
        dtype = dtype_of_kernel(data, [w for w in parameters.values() if w is not None], True)
        return f"torch: torch.nn's own kernel (cuDNN) runs the whole sequence in {dtype}"
    if kind == "c":
        return f"c: one fused kernel runs the whole sequence in {data.dtype}"
    dtype = dtype_of_kernel(data, [w for w in parameters.values() if w is not None], True)
    proved = ", as checked on this device" if chosen == "auto" and mode() == "check" else ""
    if is_elementwise(found.plan):
        return f"triton: one fused kernel runs the whole sequence in {dtype}{proved}"
    return f"triton: products and fused kernels run each time step in {dtype}{proved}"


def dtype_of_kernel(data: Tensor, weights: Sequence[Tensor], narrow: bool) -> torch.dtype:
    """Return the dtype of the tensors that a kernel is given.

    Args:
        data: the input.
        weights: the parameters.
        narrow: whether the kernel computes bfloat16 and float16 by itself. Then autocast chooses
            among these, as for ``torch.nn.LSTM``; states between steps and sums stay float32.
    """
    dtype = weights[0].dtype if weights else data.dtype
    if narrow and dtype is not torch.float64 and is_autocast(data.device):
        chosen = torch.get_autocast_dtype(data.device.type)
        return chosen if chosen in NARROW else torch.float32
    if dtype in NARROW and (data.dtype != dtype or not narrow):
        return torch.float32
    return dtype


def kernel_source(
    cell: BaseRecurrentCell, dtype: torch.dtype, device: torch.device | str = "cpu"
) -> str:
    """Return the text of a cell's kernel: C for the CPU, Triton for ``"cuda"``.

    Raises:
        TypeError: if it has none; the message says why.
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


def compiled_kind(device: torch.device) -> Backend | None:
    """Return the kernels that would run a call on a device; ``None``: the reference would."""
    chosen = current()
    return None if chosen == "reference" else kind_for(chosen, device)


def no_kernel(
    cell: BaseRecurrentCell, dtype: torch.dtype = torch.float32, given: Given = NOTHING
) -> str:
    """Return why no kernel in C can run a cell, whatever the call; empty if one can.

    Args:
        cell: the cell.
        dtype: of its parameters.
        given: what a call gives the step besides its input and states.
    """
    try:
        found = cell.no_kernel or _no_dtype(dtype) or fused(cell, given)
    except StepError as error:
        return str(error)
    return found if isinstance(found, str) else ""


def sees_to(
    cell: BaseRecurrentCell, given: Given, dtype: torch.dtype, device: torch.device
) -> bool:
    """Whether whatever would run a cell sees to the flags of steps: kernels in C, and the loop.

    A sequence that begins anew draws other factors, where those of a kernel are the sequence's.
    """
    if given.resets and noise_of(cell).dropped:
        return False
    if device.type != "cpu" or current() not in _SEEING or takes_twins(device):
        return False
    return not no_kernel(cell, dtype, given)


def _usable(
    cell: Cell,
    data: Tensor,
    sizes: Tensor | None,
    states: tuple[Tensor, ...] | None,
    parameters: reference.EffectiveParameters,
    kind: Backend,
    given: Given,
) -> Fused | TorchTwin | str:
    """Return the kernel of one kind that would run this call, or why there is none."""
    if cell.no_kernel:
        return cell.no_kernel
    if data.numel() == 0:
        return "there is nothing to compute"
    tensors = [("the input", data), *((f"state {k}", s) for k, s in enumerate(states or ()))]
    tensors += [(name, weight) for name, weight in parameters.items() if weight is not None]
    reason = obstacle("cpu" if kind == "c" else data.device.type, tensors)
    if reason and kind == "c" and data.device.type != "cpu":
        return _no_device(data.device)
    if not reason and takes_twins(data.device) and current() == "auto":
        whole = sizes is not None or data.dim() == 3
        if whole and data.is_floating_point() and (twin := twin_of(cell, parameters)):
            return twin
    own = cast("BaseRecurrentCell", cell)
    given = given._replace(gaps=has_gaps(own, data))
    found = reason or _kernel_of(own, data.dtype, data.device, kind, given)
    if isinstance(found, str) or kind != "triton" or current() == "triton":
        return found
    keep = torch.is_grad_enabled() and any(each.requires_grad for _, each in tensors)
    dtype = dtype_of_kernel(data, [w for w in parameters.values() if w is not None], True)
    kernel = cast("TritonKernel", found.kernel(dtype, data.device.type))
    steps = data if sizes is not None or data.dim() == 3 else data.unsqueeze(0)
    rows = steps.size(1) if sizes is None else int(sizes[0])
    forms = kernel.forms(Batch(steps, rows, sizes), keep)
    return doubt(own, found, kernel, dtype, data.device, forms) or found


def _no_device(device: torch.device) -> str:
    """Return why the C kernel does not run on a device; empty if it does."""
    return "" if device.type == "cpu" else f"there is no C kernel for the device {device.type!r}"


def _no_dtype(dtype: torch.dtype) -> str:
    """Return why no kernel takes a dtype; empty if one does."""
    return "" if dtype in (*REALS, *NARROW) else f"there is no kernel for {dtype}"


def _kernel_of(
    cell: BaseRecurrentCell,
    dtype: torch.dtype,
    device: torch.device,
    kind: Backend,
    given: Given = NOTHING,
) -> Fused | str:
    """Return a cell's kernel of one kind, whatever the call, or why there is none."""
    if cell.no_kernel:
        return cell.no_kernel
    if reason := _no_dtype(dtype):
        return reason
    if reason := refusal(device) if kind == "triton" else _no_device(device):
        return reason
    if given.flags and kind == "triton":
        return f"kernels that take {' and '.join(given.flags)} of steps are the CPU's only"
    found = fused(cell, given)
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
