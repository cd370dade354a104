"""Runs a step as the step before was run, if nothing has changed but the numbers.

Whatever is asked before a kernel runs is asked here too, but once for all of it: a cell remembers
what the last step without gradients ran with, and compares. Anything else than the same tensors'
kinds, shapes and dtypes, the same options and the same modes of torch takes the long way, where it
is also said what is wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from ...checks import is_autocast
from ..cpu.kernel import FEW_ROWS
from .boundary import obstacle
from .choice import current
from .kernels import Fused, fused

if TYPE_CHECKING:
    from ...cell import BaseRecurrentCell

__all__ = ["remember", "step_again"]


class _Step:
    """What a step ran with."""

    def __init__(self, cell: BaseRecurrentCell, found: Fused, dtype: torch.dtype) -> None:
        self._found, self._dtype, self._run = found, dtype, found.one_step(dtype)
        self._input_size, self._widths = cell.input_size, cell.state_widths
        self._weights = [name for name in cell._names if cell._parameters[name] is not None]
        self._shapes = [cell.parameter_shapes[name] for name in self._weights]
        self._names = ("the input", *cell.state_names, *self._weights)

    def again(
        self, cell: BaseRecurrentCell, input: Tensor, hx: Any
    ) -> tuple[Tensor, tuple[Tensor, ...]] | None:
        """Return the output and the states after the step; ``None``: something is different."""
        dtype, states = self._dtype, (hx,) if len(self._widths) == 1 else hx
        parameters = cell._parameters
        weights: list[Any] = [parameters.get(name) for name in self._weights]
        if (
            type(input) is not Tensor
            or input.dim() != 2
            or input.size(1) != self._input_size
            or not 0 < input.size(0) <= FEW_ROWS
            or not isinstance(states, tuple)
            or len(states) != len(self._widths)
        ):
            return None
        rows = input.size(0)
        for state, width in zip(states, self._widths, strict=True):
            if type(state) is not Tensor or state.shape != (rows, width):
                return None
        for weight, shape in zip(weights, self._shapes, strict=True):
            if weight is None or weight.shape != shape:
                return None
        tensors = (input, *states, *weights)
        for tensor in tensors:
            if tensor.dtype is not dtype or not tensor.is_contiguous():
                return None
        if (
            obstacle("cpu", zip(self._names, tensors, strict=True))
            or is_autocast(input.device)
            or current() not in ("auto", "c")
            or cell.weight_dropout
            or cell.per_sample is not None
            or fused(cell) is not self._found
        ):
            return None
        return self._run(input, weights, states, list(cell.numbers.values()))


_last: WeakKeyDictionary[BaseRecurrentCell, _Step] = WeakKeyDictionary()


def remember(cell: BaseRecurrentCell, found: Fused, dtype: torch.dtype) -> None:
    """Let the next step of a cell be compared with this one, which a kernel in C has run."""
    if cell.uses_its_parameters and set(found.weights) <= cell._parameters.keys():
        _last[cell] = _Step(cell, found, dtype)


def step_again(
    cell: BaseRecurrentCell, input: Tensor, hx: Any
) -> tuple[Tensor, tuple[Tensor, ...]] | None:
    """Run a step as the last one was; ``None``: it has to be looked at anew.

    Args:
        cell: whose step it is.
        input: as the caller has given it, like all else.
        hx: the state before.

    Returns:
        The output ``(N, width)`` and the states.
    """
    if torch.is_grad_enabled():
        return None
    last = _last.get(cell)
    return None if last is None else last.again(cell, input, hx)
