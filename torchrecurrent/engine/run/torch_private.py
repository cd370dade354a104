"""All private functions of torch that this package uses, probed on import.

If something is missing, :data:`missing` names it, no kernel runs, and ``doctor`` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor

__all__ = [
    "HOOKS",
    "constant_while_compiling",
    "hooks_of_all_modules",
    "interception",
    "missing",
    "not_plain",
    "profiling",
    "same_tensors",
    "saved_tensors_are_watched",
    "scan",
    "without_modes",
]

F = TypeVar("F", bound=Callable[..., Any])

#: The attributes in which a module has the hooks of its calls.
HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")

#: The dispatch keys that a tensor may have if it is nothing but its memory, by device.
_PLAIN_KEYS: dict[str, Any] = {}
#: The keys that the dispatcher may include while nobody intercepts its calls.
_QUIET_KEYS: int = 0


def _probe() -> str:
    """Return the first private function of torch that has changed; empty if none has."""
    global _QUIET_KEYS
    try:
        key, keys = torch._C.DispatchKey, torch._C.DispatchKeySet
        for device, name in (("cpu", "CPU"), ("cuda", "CUDA")):
            known = keys(getattr(key, name))
            for more in (f"Autograd{name}", f"Autocast{name}", "ADInplaceOrView"):
                known = known | keys(getattr(key, more))
            _PLAIN_KEYS[device] = known
        _QUIET_KEYS = (keys(key.BackendSelect) | keys(key.ADInplaceOrView)).raw_repr()
        tensor = torch.empty(0, device="meta")
        torch._C._dispatch_keys(tensor).raw_repr()
        torch._C._dispatch_tls_local_include_set().raw_repr()
        torch._C._len_torch_function_stack()
        if not isinstance(torch.autograd.forward_ad._current_level, int):
            return "torch.autograd.forward_ad._current_level"
        hooks_of_all_modules()
        [vars(torch.nn.Module())[name] for name in HOOKS]
    except (AttributeError, TypeError, KeyError) as error:
        return str(error)
    return ""


def hooks_of_all_modules() -> list[Mapping[int, Any]]:
    """Return the dictionaries of hooks that run when any module is called."""
    return [getattr(torch.nn.modules.module, f"_global{name}") for name in HOOKS]


#: Why this version of torch can't answer what the kernels need to know; empty if it can.
missing: str = _probe()


def interception() -> str:
    """Return who would see the operations of a call before they run; empty if nobody would.

    All of torch's tracers, transformations and modes set a key of the dispatcher for their
    thread, and future ones will too; modes over Python functions have a stack of their own, and
    forward-mode differentiation a level.
    """
    if missing:
        return f"this version of torch hides what a kernel has to know: {missing}"
    found = torch._C._dispatch_tls_local_include_set()
    if found.raw_repr() & ~_QUIET_KEYS:
        return f"operations are being traced, transformed or watched ({_names(found)})"
    if torch._C._len_torch_function_stack() and _has_function_mode():
        return "a TorchFunctionMode is active"
    if torch.autograd.forward_ad._current_level >= 0:
        return "forward-mode differentiation is active"
    return ""


def _names(keys: Any) -> str:
    """Return the keys that are not always included."""
    known = torch._C.DispatchKeySet.from_raw_repr(keys.raw_repr() & ~_QUIET_KEYS)
    return str(known).removeprefix("DispatchKeySet(").removesuffix(")")


def _has_function_mode() -> bool:
    """Whether a mode is active that does more than choose the device of new tensors."""
    from torch.utils._device import DeviceContext

    modes = (
        torch._C._get_function_stack_at(k) for k in range(torch._C._len_torch_function_stack())
    )
    return any(type(mode) is not DeviceContext for mode in modes)


def not_plain(device_type: str, tensors: Iterable[tuple[str, Tensor]]) -> str:
    """Return which tensor is more than memory with a shape and strides; empty if none is.

    Its dispatch keys tell: those of negative and conjugate views, of sparse, quantised, nested
    and zero tensors, and of tensors that a transformation wraps are not those of plain memory.
    """
    plain, keys_of = _PLAIN_KEYS.get(device_type), torch._C._dispatch_keys
    for name, tensor in tensors:
        kind = type(tensor)
        if kind is not torch.nn.Parameter and kind is not Tensor:
            return f"{name} is of the subclass {kind.__name__}"
        keys = keys_of(tensor)
        if keys != plain and (plain is None or (keys | plain) != plain):
            return f"{name} is no plain memory of the device {device_type!r} ({keys})"
    return ""


def same_tensors(tensors: Sequence[Tensor]) -> Callable[[Sequence[Any]], bool]:
    """Return a function that says whether as many values are tensors of the kinds that these are.

    That is their classes, dispatch keys, dtypes, devices, shapes and strides; where gradients are
    enabled, also whether they need one. torch has one call for all of them, which its compiler
    guards its code with.
    """
    guards: Any = getattr(getattr(torch._C, "_dynamo", None), "guards", None)
    if tensors and hasattr(guards, "TensorGuards"):
        found: Any = guards.TensorGuards(
            *tensors,
            dynamic_dims_sizes=[list(tensor.shape) for tensor in tensors],
            dynamic_dims_strides=[list(tensor.stride()) for tensor in tensors],
        )
        check = found.check
        if check(*tensors):  # it refuses the same tensor twice
            return lambda others: bool(check(*others))
    return partial(_are_alike, _kinds(tensors))


def _are_alike(kinds: list[tuple[object, ...]], tensors: Sequence[Tensor]) -> bool:
    return _kinds(tensors) == kinds


def _kinds(tensors: Sequence[Any]) -> list[tuple[object, ...]]:
    keep = torch.is_grad_enabled()
    return [
        (
            type(each),
            torch._C._dispatch_keys(each).raw_repr(),
            each.dtype,
            each.device,
            each.shape,
            each.stride(),
            keep and each.requires_grad,
        )
        if isinstance(each, Tensor)
        else (type(each),)
        for each in tensors
    ]


def profiling() -> bool:
    """Whether a profiler is active, so that names are worth their time."""
    ask = getattr(torch._C._autograd, "_profiler_enabled", None)
    return ask is not None and bool(ask())


def saved_tensors_are_watched() -> bool:
    """Whether hooks take the tensors saved for a backward pass, as checkpoints do."""
    ask = getattr(torch._C._autograd, "_top_saved_tensors_default_hooks", None)
    return ask is None or ask(True) is not None


def constant_while_compiling(function: F) -> F:
    """Do as :func:`torch.compiler.assume_constant_result`, without importing the compiler."""
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function


def scan(
    body: Callable[..., list[Tensor]],
    carried: Sequence[Tensor],
    slices: Sequence[Tensor],
    fixed: Sequence[Tensor],
) -> Sequence[Tensor]:
    """A loop over the first dimension as one node of what is being traced.

    Args:
        body: called with the carried values, a slice of each of ``slices``, and ``fixed``; it
            returns the new carried values and a slice of each result.
        carried: the values before the first step.
        slices: what it goes over.
        fixed: all else that the body reads.

    Returns:
        The carried values after the last step, and the results of all steps.

    Raises:
        NotImplementedError: this version of torch has no such node.
    """
    import torch._higher_order_ops  # where it is registered

    operator = getattr(torch.ops.higher_order, "scan", None)
    if operator is None:
        raise NotImplementedError(
            "this version of torch has no torch.ops.higher_order.scan, by which a sequence is "
            "exported to ONNX"
        )
    return operator(body, list(carried), list(slices), tuple(fixed))  # type: ignore[no-any-return]


def without_modes() -> AbstractContextManager[Any]:
    """Return a context in which new tensors are real, whatever modes of torch are active."""
    from torch.utils import _python_dispatch

    leave = getattr(_python_dispatch, "_disable_current_modes", None)
    found: AbstractContextManager[Any] = nullcontext() if leave is None else leave()
    return found
