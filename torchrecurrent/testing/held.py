"""The function whose derivative the gradient of a step with :func:`torch.detach` is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

__all__ = ["holding"]

Function = Callable[..., tuple[Tensor, ...]]


class _Held(TorchFunctionMode):
    """Records what is detached, or returns what was recorded in the same order."""

    def __init__(self) -> None:
        super().__init__()
        self.values: list[Tensor] = []
        self.records, self._next = True, 0

    def restart(self) -> None:
        self._next = 0

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Iterable[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if function not in (torch.detach, Tensor.detach):
            return function(*args, **(kwargs or {}))
        if self.records:
            self.values.append(args[0].detach().clone())
        self._next += 1
        return self.values[self._next - 1]


def holding(function: Function, values: Sequence[Tensor]) -> Function:
    """Return the function with all that it detaches at some values held fixed.

    A step may have other gradients than its derivative, such as those of the identity where it
    rounds. Written with :func:`torch.detach`, they are the derivative of this function. One that
    detaches nothing is returned as it is.
    """
    held = _Held()
    with held:
        function(*values)
    if not held.values:
        return function
    held.records = False

    def fixed(*values: Tensor) -> tuple[Tensor, ...]:
        held.restart()
        with held:
            return function(*values)

    return fixed
