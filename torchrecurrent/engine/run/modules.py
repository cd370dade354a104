"""Kernels of modules from outside: traced, checked against the module, and kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from ..ir.trace import UntraceableError
from ..modules.build import ModulePlan, plan_of_module
from ..modules.capture import Call, Step, tensors_of, widths_of
from ..modules.identity import fingerprint, outside_of
from ..program.outside import Outside
from .choice import current
from .interpreted import Interpreted
from .kernels import Fused, registered
from .proof import check_module
from .reference import EffectiveParameters, Stepper
from .torch_private import interception

__all__ = ["Traced", "traced"]

#: What a module depends on may change so many times before each call runs by the loop.
_MOST_TRACES = 16


@dataclass(frozen=True)
class Traced:
    """A module for calls of certain sizes.

    Attributes:
        fused: its kernels.
        widths: of its states.
        compute: makes the kernel's parameters of the module's tensors.
    """

    fused: Fused
    widths: tuple[int, ...]
    compute: Callable[[Mapping[str, Tensor]], dict[str, Tensor]]

    def parameters(self, module: nn.Module) -> dict[str, Tensor]:
        """Return the kernel's parameters, as torch's function of those of the module."""
        return self.compute(tensors_of(module))

    def replayed(self, parameters: EffectiveParameters) -> Stepper:
        """Return what computes the same by torch's operations, with given parameters."""
        return Interpreted(self.fused.plan, parameters)


_Found = dict[object, tuple[Outside, Traced | str]]
_known: WeakKeyDictionary[nn.Module, _Found] = WeakKeyDictionary()


def traced(
    module: nn.Module, step: Step, data: Tensor, states: tuple[Tensor, ...] | None
) -> Traced | str:
    """Return a module's kernel for a call, or the reason why the loop has to run it.

    Args:
        module: the module.
        step: calls it with an input ``(N, I)`` and its states, none if it makes its own.
        data: the input of all steps.
        states: the first ones; ``None`` if it makes its own.
    """
    if torch.compiler.is_compiling() or current() == "reference":
        return "it is not traced while torch is compiling or exporting"
    try:
        return _traced(module, step, data, states)
    except UntraceableError as error:
        return str(error)


def _traced(
    module: nn.Module, step: Step, data: Tensor, states: tuple[Tensor, ...] | None
) -> Traced | str:
    if reason := interception() or _mismatch(module, data, states):
        return reason
    widths = None if states is None else tuple(state.size(-1) for state in states)
    key = (fingerprint(module), data.size(-1), widths, data.dtype)
    found = _known.get(module)
    if found is None:
        found = _known.setdefault(module, {})
    known = found.get(key)
    if known is None or not known[0].unchanged():
        if len(found) >= _MOST_TRACES and known is None:
            return "what its forward depends on changes too often"
        outside = outside_of(module)
        made: Traced | str = outside.refusal
        if not made:
            try:
                made = _made(module, step, data, widths)
            except UntraceableError as error:
                made = str(error)
        known = found[key] = (outside, made)
    return known[1]


def _mismatch(module: nn.Module, data: Tensor, states: tuple[Tensor, ...] | None) -> str:
    """Return what of a call's tensors differs from what a kernel takes; empty if nothing does."""
    if not data.is_floating_point():
        return f"there is no kernel for {data.dtype}"
    if torch.is_autocast_enabled(data.device.type):
        return "under autocast each of its operations chooses its dtype"
    for name, tensor in tensors_of(module).items():
        if tensor.is_floating_point() and tensor.dtype != data.dtype:
            return f"{name} is of {tensor.dtype}, the input of {data.dtype}"
        if tensor.device != data.device:
            return f"{name} is on {tensor.device}, the input on {data.device}"
    for k, state in enumerate(states or ()):
        if state.dim() != 2 or state.dtype != data.dtype:
            return (
                f"its state {k} is no matrix (N, width) of {data.dtype}, but "
                f"{tuple(state.shape)} of {state.dtype}"
            )
    return ""


def _made(module: nn.Module, step: Step, data: Tensor, widths: tuple[int, ...] | None) -> Traced:
    sizes = Call(data.size(-1), widths or (), data.dtype)
    if widths is None:
        sizes = Call(data.size(-1), widths_of(module, step, sizes), data.dtype)
    made = plan_of_module(module, step, sizes)
    check_module(module, step, sizes, made, makes_states=widths is None)
    return Traced(_fused(module, made, sizes), sizes.widths, made.compute)


def _fused(module: nn.Module, made: ModulePlan, call: Call) -> Fused:
    digest = hashlib.sha256(made.text.encode()).hexdigest()
    key = f"module {type(module).__qualname__} {call} {digest}"
    fused = Fused(key, made.plan, call.input_size, made.shapes, (type(module),), True)
    return registered(fused)
