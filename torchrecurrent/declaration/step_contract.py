"""What a step owes its declaration, whoever runs it: on tensors, on symbols, on stand-ins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .signature import StepSignature

__all__ = [
    "BRANCH",
    "BranchError",
    "StepError",
    "check_mapped",
    "check_shape",
    "check_width",
    "returned",
]

#: What a comparison of tensors in an ``if``, a ``while`` or an ``and`` is, and the way out.
BRANCH = (
    "a branch on a tensor's value, which differs from unit to unit; "
    "torch.where(condition, a, b) chooses for each of them"
)


class StepError(TypeError):
    """A step does not keep what its declaration says; the message names the cell."""


class BranchError(StepError):
    """A step branches on a tensor's value, which is no single one."""


def returned(
    owner: str,
    signature: StepSignature,
    result: object,
    kinds: type | tuple[type, ...],
) -> tuple[Any, ...]:
    """What a step returned: its output, if it has one apart, and the new states.

    Args:
        owner: name of the cell.
        signature: the step's.
        result: what it returned.
        kinds: tensors, or what stands for them.

    Raises:
        StepError: nothing, fewer or more values than declared, or one that is no tensor.
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
    """Raise StepError unless what a step returns has the shape that it is declared with."""
    if shape != expected:
        if len(shape) == len(expected):
            check_width(owner, name, shape[-1], expected[-1])
        raise StepError(
            f"{owner}.step: {name} should have the shape {tuple(expected)}, got {tuple(shape)}"
        )


def check_width(owner: str, name: str, width: int | None, expected: int) -> None:
    """Raise StepError unless what a step returns is as wide as it is declared."""
    if width != expected:
        raise StepError(f"{owner}.step: {name} should have the width {expected}, got {width}")


def check_mapped(owner: str, name: str, width: int | None, expected: int) -> None:
    """Check what a step applies a map to.

    Args:
        owner: name of the cell.
        name: of the map.
        width: of the value; ``None``: it is a number, or one for all units.
        expected: what the map multiplies.

    Raises:
        StepError: a number, or a value of another width.
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
