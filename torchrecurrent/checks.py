"""Checks of a call's arguments, worded as in torch.nn where torch has the same check."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, TypeGuard

import torch
from torch import Tensor
from torch.overrides import is_tensor_like

__all__ = [
    "check_cell_states",
    "check_flags",
    "check_gaps",
    "check_input",
    "check_not_negative",
    "check_placement",
    "check_state_kind",
    "check_width",
    "is_autocast",
    "is_tensors",
]


def is_tensors(value: object) -> TypeGuard[Sequence[Tensor]]:
    """Whether ``value`` is a tuple or list of tensors."""
    return isinstance(value, tuple | list) and all(isinstance(item, Tensor) for item in value)


def _may_be_states(value: object) -> TypeGuard[Sequence[Tensor | None]]:
    """Whether ``value`` is a tuple or list of tensors, or ``None`` for some of them."""
    return isinstance(value, tuple | list) and all(
        item is None or isinstance(item, Tensor) for item in value
    )


def check_input(owner: str, input: Any, ranks: Sequence[int], wanted: str = "a Tensor") -> None:
    """Check the input of a cell or a layer.

    Args:
        owner: name of the cell's or layer's class.
        input: the given value; stand-ins for a tensor, such as a tracer's proxy, are accepted.
        ranks: the numbers of dimensions that it may have.
        wanted: the kinds of input accepted, for the error message.

    Raises:
        TypeError: if it is not a tensor.
        ValueError: if it has another number of dimensions.
    """
    if not isinstance(input, Tensor) and not is_tensor_like(input):
        raise TypeError(f"{owner}: input should be {wanted}, got: {_what_is(input)}")
    if input.dim() not in ranks:
        expected = " or ".join(f"{rank}D" for rank in ranks)
        raise ValueError(f"{owner}: Expected input to be {expected}, got {input.dim()}D instead")


def _what_is(value: object) -> str:
    """Describe a value that is not a tensor, and how to make one of it."""
    if value is None:
        return "None"
    if is_tensors(value) and value:
        return f"{type(value).__name__} of Tensors; torch.stack(input) makes one of them"
    if type(value) in (int, float, tuple, list) or hasattr(value, "__array__"):
        return f"{type(value).__name__}; torch.as_tensor(input) makes one of it"
    return type(value).__name__


def check_width(input: Tensor, input_size: int) -> None:
    """Raise RuntimeError unless the last dimension of ``input`` is ``input_size``."""
    if input.size(-1) != input_size:
        raise RuntimeError(
            "input.size(-1) must be equal to input_size. "
            f"Expected {input_size}, got {input.size(-1)}"
        )


_has_autocast = cache(torch.amp.is_autocast_available)


def is_autocast(device: torch.device) -> bool:
    """Whether autocast is on for a device; ``False`` for a device without autocast."""
    # torch.compile of torch 2.11 can't trace the query whether a device has it.
    known = torch.compiler.is_compiling() or _has_autocast(device.type)
    return device.type != "meta" and known and torch.is_autocast_enabled(device.type)


def check_placement(name: str, value: Tensor, like: Tensor | None) -> None:
    """Raise ValueError unless ``value`` is dense, with the dtype and device of the weight ``like``.

    Under autocast its dtype may differ.
    """
    if value.layout is not torch.strided or value.is_nested:
        kind = "a nested" if value.is_nested else f"one with the layout {value.layout}"
        raise ValueError(
            f"{name}: expected a dense tensor, got {kind}"
            f"{' tensor; pad it, and give lengths' if value.is_nested else ''}"
        )
    if like is None:
        return
    if value.dtype != like.dtype and not is_autocast(value.device):
        raise ValueError(
            f"{name}: RNN input dtype ({value.dtype}) does not match weight dtype "
            f"({like.dtype}). Convert input: {name}.to({like.dtype}), or convert model: "
            f"model.to({value.dtype})"
        )
    if value.device != like.device:
        raise ValueError(
            f"{name}: expected a tensor on {like.device}, where the weights are, "
            f"got one on {value.device}"
        )


def check_state_kind(hx: object, names: Sequence[str]) -> tuple[Tensor | None, ...]:
    """Return the states in ``hx`` as a tuple; ``None`` in a tuple is kept.

    Raises:
        TypeError: for a single tensor where several states are expected, or the reverse.
    """
    if len(names) == 1 and isinstance(hx, Tensor):
        return (hx,)
    if len(names) > 1 and _may_be_states(hx) and len(hx) == len(names):
        return tuple(hx)
    wanted = "a Tensor" if len(names) == 1 else f"a tuple of {len(names)} Tensors"
    given = type(hx).__name__
    if isinstance(hx, tuple | list):
        given += f" of {len(hx)}: {', '.join(type(item).__name__ for item in hx)}"
    raise TypeError(f"hx should be {wanted} ({', '.join(names)}), got: {given}")


def check_cell_states(
    names: Sequence[str],
    widths: Sequence[int],
    input: Tensor,
    rows: tuple[int, ...],
    hx: object,
    weight: Tensor | None,
) -> tuple[Tensor, ...]:
    """Return the states given to a cell, with zeros in place of ``None``.

    Args:
        names: names of the states.
        widths: widths of the states.
        input: the input, whose device they have to share.
        rows: the shape of the batch, ``(N,)`` or ``()``.
        hx: the given states.
        weight: a parameter, whose dtype and device they have to share.

    Raises:
        TypeError: for a wrong number of states.
        ValueError: for a wrong rank, dtype or device.
        RuntimeError: for a wrong width or batch size.
    """
    given = check_state_kind(hx, names)
    states: list[Tensor] = []
    for name, width, state in zip(names, widths, given, strict=True):
        if state is None:
            states.append(input.new_zeros((*rows, width)))
            continue
        label = "hx" if len(given) == 1 else f"hx ({name})"
        if state.shape == (*rows, width):
            check_placement(label, state, weight)
            states.append(state)
            continue
        if state.dim() != len(rows) + 1:
            raise ValueError(
                f"{label}: Expected hidden to be {len(rows) + 1}D, as the input is, "
                f"got {state.dim()}D instead"
            )
        if state.size(-1) != width:
            raise RuntimeError(
                f"{label}: hidden has inconsistent hidden_size: "
                f"got {state.size(-1)}, expected {width}"
            )
        raise RuntimeError(
            f"{label}: Input batch size {rows[0]} doesn't match hidden batch size {state.size(0)}"
        )
    return tuple(states)


def check_gaps(
    dt: object, shapes: Sequence[tuple[str, Sequence[int]]], like: Tensor | None
) -> None:
    """Check the time since the step before, but for its values.

    Args:
        dt: what was given.
        shapes: what there may be a number for, and the shape that it has then.
        like: a weight, whose dtype and device it has to share.

    Raises:
        TypeError: it is no tensor.
        ValueError: a wrong shape, dtype or device.
    """
    if not isinstance(dt, Tensor):
        raise TypeError(f"dt should be a Tensor, got: {type(dt).__name__}")
    if all(dt.shape != shape for _, shape in shapes):
        wanted = ", or ".join(f"{tuple(shape)}, a number for {each}" for each, shape in shapes)
        raise ValueError(f"dt: expected shape {wanted}, got {tuple(dt.shape)}")
    check_placement("dt", dt, like)


def check_not_negative(dt: Tensor) -> None:
    """Raise ValueError if a time is negative or not finite.

    That is seen where their values are at hand: on the CPU, and not while the call is traced.
    """
    hidden = torch.compiler.is_compiling() or torch.jit.is_tracing()  # type: ignore[attr-defined,no-untyped-call]
    if hidden or dt.device.type != "cpu" or not dt.numel():
        return
    low, high = dt.detach().aminmax()
    try:
        least, most = float(low), float(high)
    except RuntimeError:  # a transformation such as torch.func.vmap, or a fake tensor
        return
    if not (least >= 0 and most < float("inf")):  # NaN is neither
        raise ValueError(f"dt: expected finite numbers from 0, got some from {least} to {most}")


def check_flags(name: str, value: object, shape: Sequence[int], device: torch.device) -> Tensor:
    """Return a truth value for each step of each sequence.

    Raises:
        TypeError: it is no tensor of truth values.
        ValueError: a wrong shape or device.
    """
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} should be a Tensor, got: {type(value).__name__}")
    if value.dtype != torch.bool:
        raise TypeError(f"{name} should be a Tensor of torch.bool, got: {value.dtype}")
    if value.shape != shape:
        raise ValueError(f"{name}: expected shape {tuple(shape)}, got {tuple(value.shape)}")
    if value.device != device:
        raise ValueError(f"{name}: expected device {device}, got {value.device}")
    return value
