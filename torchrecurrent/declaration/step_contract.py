"""Checks a step against its declaration, whether it runs on tensors, symbols or stand-ins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..across import Across
from .signature import StepSignature

__all__ = [
    "BRANCH",
    "BranchError",
    "StepError",
    "check_across",
    "check_mapped",
    "check_shape",
    "check_width",
    "returned",
]

#: Describes a comparison of tensors in an ``if``, a ``while`` or an ``and``, and the remedy.
BRANCH = (
    "a branch on a tensor's value, which differs from unit to unit; "
    "torch.where(condition, a, b) chooses for each of them"
)


class StepError(TypeError):
    """Raised for a step that breaks its declaration; the message names the cell."""


class BranchError(StepError):
    """Raised for a step that branches on the value of a tensor, which has several."""


def returned(
    owner: str,
    signature: StepSignature,
    result: object,
    kinds: type | tuple[type, ...],
) -> tuple[Any, ...]:
    """Return a step's results as a tuple: its output, if it has a separate one, and new states.

    Args:
        owner: name of the cell.
        signature: the signature of the step.
        result: the value that the step returned.
        kinds: the types of tensors or of their stand-ins.

    Raises:
        StepError: for nothing, fewer or more values than declared, or one that is not a tensor.
    """
    values = result if isinstance(result, tuple) else (result,)
    expected = signature.results
    if result is None:
        raise StepError(f"{owner}.step returned None, expected {', '.join(expected)}")
    if len(values) != len(expected):
        given = "1 value" if len(values) == 1 else f"{len(values)} values"
        wanted = f"{len(expected)}: {', '.join(expected)}"
        raise StepError(f"{owner}.step returned {given}, expected {wanted}")
    for name, value in zip(expected, values, strict=True):
        if not isinstance(value, kinds):
            given = type(value).__name__
            raise StepError(f"{owner}.step: {name} should be a Tensor, got: {given}")
    return values


def check_shape(owner: str, name: str, shape: Sequence[int], expected: Sequence[int]) -> None:
    """Raise StepError unless a result of a step has its declared shape."""
    if shape != expected:
        if len(shape) == len(expected):
            check_width(owner, name, shape[-1], expected[-1])
        raise StepError(
            f"{owner}.step: {name} should have the shape {tuple(expected)}, got {tuple(shape)}"
        )


def check_width(owner: str, name: str, width: int | None, expected: int) -> None:
    """Raise StepError unless a result of a step has its declared width."""
    if width != expected:
        raise StepError(f"{owner}.step: {name} should have the width {expected}, got {width}")


def check_mapped(owner: str, name: str, width: int | None, expected: int) -> None:
    """Check the value that a step applies a map to.

    Args:
        owner: name of the cell.
        name: name of the map.
        width: width of the value; ``None`` if it is a number, or one for all units.
        expected: the width that the map multiplies.

    Raises:
        StepError: for a number, or a value of another width.
    """
    if width is None:
        raise StepError(
            f"{owner}.step: the map {name!r} is applied to a number; expected a value with a "
            "number for each unit"
        )
    if width != expected:
        raise StepError(
            f"{owner}.step: the map {name!r} is applied to a value of the width {width}, "
            f"expected {expected}"
        )


def check_across(owner: str, across: Across, name: str, width: int, wide: int) -> None:
    """Raise StepError if an operation across the units of a value can't have so many units.

    Args:
        owner: name of the cell.
        across: the operation.
        name: name of the argument of the step.
        width: width of the value.
        wide: width of the result.
    """
    if not across.fits(width, wide):
        raise StepError(
            f"{owner}.step: {name!r} ({across.name}) is applied to {width} units, and its result "
            f"should have {across.wants}, got {wide}"
        )
