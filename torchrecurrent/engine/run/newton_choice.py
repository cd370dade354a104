"""Decides whether Newton's method runs a call, and says why not."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from torch import Tensor, dtype

from ..program.given import Given
from .at_once import Newton
from .boundary import obstacle
from .gaps import has_gaps
from .kernels import fused
from .reference import EffectiveParameters, States

if TYPE_CHECKING:
    from ...cell import BaseRecurrentCell
    from .dispatch import Cell

__all__ = ["explain_newton", "newton_of_call"]


def newton_of_call(
    cell: Cell,
    data: Tensor,
    states: States | None,
    parameters: EffectiveParameters,
    given: Given,
) -> Newton | None:
    """Return what finds the states of a call at once; ``None`` where the loop has to run it.

    Raises:
        RuntimeError: nothing can, whatever the call is.
    """
    if _hindrance(data, states, parameters, given):
        return None
    found = _newton_of(cell, data)
    if isinstance(found, str):
        raise RuntimeError(f"backend='newton' can't run {type(cell).__name__}: {found}")
    return found


def explain_newton(
    cell: Cell,
    data: Tensor,
    states: States | None,
    parameters: EffectiveParameters,
    given: Given,
    real: dtype,
) -> str:
    """Return a sentence: whether the method would run, and why.

    Args:
        cell: the cell.
        data: its input.
        states: the first ones.
        parameters: its parameters.
        given: what the call gives each step besides the input.
        real: the dtype in which it would compute.
    """
    found = _hindrance(data, states, parameters, given) or _newton_of(cell, data)
    if isinstance(found, str):
        return f"reference: {found}"
    return f"newton: {found.explanation(real)}"


def _newton_of(cell: Cell, data: Tensor) -> Newton | str:
    """Return what finds a cell's states at once, or why nothing can."""
    if cell.no_kernel:
        return cell.no_kernel
    if not data.is_floating_point():
        return f"there are no derivatives in {data.dtype}"
    own = cast("BaseRecurrentCell", cell)
    found = fused(own, Given(has_gaps(own, data)))
    return found if isinstance(found, str) else Newton.of(found)


def _hindrance(
    data: Tensor, states: States | None, parameters: EffectiveParameters, given: Given
) -> str:
    """Return why the loop runs a call, whatever the cell is; empty if nothing is in the way.

    Where operations are traced or transformed, nobody can ask whether an iteration was the last.
    """
    if data.numel() == 0:
        return "there is nothing to compute"
    if given.flags:  # a layer has cut its sequences into pieces without any
        return f"the states of all steps are not found at once with {' and '.join(given.flags)}"
    tensors = [("the input", data), *((f"state {k}", s) for k, s in enumerate(states or ()))]
    tensors += [(name, weight) for name, weight in parameters.items() if weight is not None]
    return obstacle(data.device.type, tensors)
