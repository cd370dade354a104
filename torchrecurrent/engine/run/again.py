"""Runs a call as the call before was run, if nothing has changed but the numbers.

Whatever is asked before a kernel runs is asked here too, but once for all of it: a cell is
remembered with all that its kernel was chosen by, and compared. Anything else than the same
parameters' kinds, shapes and dtypes, the same options and the same modes of torch takes the long
way, where it is also said what is wrong.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from ...declaration.noise import noise_of
from ..cpu.compiler import CompilerError
from ..cpu.kernel import REALS
from .autograd import sequence
from .boundary import obstacle
from .choice import current, kind_for
from .kernels import Fused, fused, outside_of
from .snapshot import Snapshot
from .torch_private import interception, profiling, same_tensors

if TYPE_CHECKING:
    from ...cell import BaseRecurrentCell

__all__ = ["Remembered", "are_plain", "nobody_sees", "remember", "step_again"]

_CPU = torch.device("cpu")
#: The methods of the base by which a cell has its parameters, states and masks.
_INHERITED = ("effective_parameters", "recurrent_kernel", "_values", "draw_noise")
#: All that is asked of a cell, or of its class, on the long way.
_ASKED = (*_INHERITED, "step", "numbers", "initial_states", "state_widths", "no_kernel")


class Remembered:
    """A cell with the kernel in C that runs it, as long as the cell is what it was.

    Args:
        cell: the cell, one of those that :meth:`of` takes.
        found: its kernels.
        dtype: of its parameters.
    """

    def __init__(self, cell: BaseRecurrentCell, found: Fused, dtype: torch.dtype) -> None:
        self.dtype, self.input_size, self.widths = dtype, cell.input_size, cell.state_widths
        self._found, self._straight = found, found.straight(dtype)
        self._absent = [name for name in cell._names if name not in found.weights]
        weights: list[Any] = [cell._parameters[name] for name in found.weights]
        self._same = same_tensors(weights)
        self._snapshot = Snapshot(cell, (*type(cell).option_names, "constants"), _ASKED)
        self._outside = outside_of(cell)
        self._fits: Callable[[Sequence[Any]], bool] | None = None

    @classmethod
    def of(cls, cell: BaseRecurrentCell, dtype: torch.dtype) -> Remembered | None:
        """Remember a cell; ``None`` if it has to be looked at anew at each call."""
        from ...cell import BaseRecurrentCell  # here, since it imports this module

        kind, zoneout = type(cell), cell.zoneout
        inherits = all(
            getattr(kind, name) is getattr(BaseRecurrentCell, name) for name in _INHERITED
        )
        if (
            dtype not in REALS
            or not (inherits and kind.takes_sequences)
            or cell.no_kernel
            or cell.per_sample is not None
            or cell.signature.has_delay
            or (cell.weight_dropout and cell.training)
            or isinstance(zoneout, list)  # which may change and stay the same list
            or noise_of(cell)
        ):
            return None
        found = fused(cell)
        if not isinstance(found, Fused):
            return None
        own, parameters = vars(cell), cell._parameters
        for name in cell._names:
            weight, shape = parameters.get(name), cell.parameter_shapes[name]
            if name in own or (weight is None) is (name in found.weights):
                return None
            if weight is None:
                continue
            fits = weight.shape == shape and weight.dtype is dtype and weight.is_contiguous()
            if not fits or obstacle("cpu", [(name, weight)]):
                return None
        try:
            made = cls(cell, found, dtype)
        except CompilerError:
            return None
        return made if made._snapshot.plain else None

    def fit(self, given: tuple[Any, ...]) -> bool:
        """Whether the input and the states of a step are as the kernel takes them."""
        if len(given) != 1 + len(self.widths):
            return False
        if self._fits is not None and self._fits(given):
            return True
        input = given[0]
        if type(input) is not Tensor or input.dim() != 2 or input.size(1) != self.input_size:
            return False
        widths = (self.input_size, *self.widths)
        shapes = [(input.size(0), width) for width in widths]
        if not input.size(0) or not are_plain(given, shapes, self.dtype):
            return False
        self._fits = same_tensors(given)
        return True

    def weights(self, cell: BaseRecurrentCell) -> list[Tensor] | None:
        """Return the parameters as the kernel takes them; ``None`` if something has changed."""
        parameters = cell._parameters
        found: list[Any] = [parameters.get(name) for name in self._found.weights]
        if (
            self._snapshot.holds(cell)
            and self._same(found)
            and not any(parameters.get(name) is not None for name in self._absent)
            and self._outside.unchanged()
        ):
            return found
        return None

    def run(
        self,
        cell: BaseRecurrentCell,
        data: Tensor,
        weights: list[Tensor],
        states: Sequence[Tensor],
        keep: bool,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run the kernel; return the output at all steps and the states after the last.

        Args:
            cell: the cell.
            data: ``(T, N, I)`` or, without gradients, ``(N, I)`` for one step; contiguous.
            weights: its parameters.
            states: the first ones, each ``(N, width)``, contiguous.
            keep: whether gradients are wanted.
        """
        numbers = list(cell.numbers.values()) if cell.constants else []
        if not keep:
            return self._straight(data, weights, states, array("d", numbers))
        return sequence(self._found, cell, data, None, weights, list(states), numbers, [])


def are_plain(given: Sequence[Any], shapes: Sequence[Sequence[int]], dtype: torch.dtype) -> bool:
    """Whether tensors are contiguous memory of the CPU, with these shapes and a dtype."""
    for tensor, shape in zip(given, shapes, strict=True):
        if (
            type(tensor) is not Tensor
            or tensor.shape != shape
            or tensor.dtype is not dtype
            or not tensor.is_contiguous()
        ):
            return False
    return not obstacle("cpu", [("", tensor) for tensor in given])


def nobody_sees() -> bool:
    """Whether kernels in C may run, as nobody watches or changes operations."""
    return not (
        interception()
        or torch.is_autocast_enabled("cpu")
        or profiling()
        or kind_for(current(), _CPU) != "c"
    )


_last: WeakKeyDictionary[nn.Module, Remembered] = WeakKeyDictionary()


def remember(cell: BaseRecurrentCell, dtype: torch.dtype) -> None:
    """Let the next step of a cell be compared with this one, which a kernel in C has run."""
    last = _last.get(cell)
    if last is not None and last.weights(cell) is not None:
        return  # it was the input or the states that were others
    found = Remembered.of(cell, dtype)
    if found is not None:
        _last[cell] = found


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
    if torch.is_grad_enabled() or (last := _last.get(cell)) is None:
        return None
    given = (input, hx) if len(last.widths) == 1 else (input, *hx) if type(hx) is tuple else ()
    if not last.fit(given):
        return None
    weights = last.weights(cell)
    if weights is None or not nobody_sees():
        return None
    return last.run(cell, input, weights, given[1:], False)
