"""Gives each class a ``forward`` whose compilations :func:`torch.compile` counts separately.

Compiled versions are kept with the code of a function, up to ``recompile_limit`` (8). If one
``forward`` served all cells, or all layers, the ninth of them in a process would be refused with
``fullgraph=True``, and run uncompiled without.
"""

from __future__ import annotations

import functools
from types import FunctionType

__all__ = ["OwnForward"]


class OwnForward:
    """Gives subclasses their own copy of the code of the ``forward`` that they inherit."""

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        inherited = getattr(cls, "forward", None)
        if "forward" not in vars(cls) and isinstance(inherited, FunctionType):
            cls.forward = _copy(inherited)  # type: ignore[attr-defined]


def _copy(function: FunctionType) -> FunctionType:
    """Return the same function with another code object."""
    twin = FunctionType(
        function.__code__.replace(),
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    twin.__kwdefaults__ = function.__kwdefaults__
    functools.update_wrapper(twin, function)
    del vars(twin)["__wrapped__"]  # the copy replaces the method; it does not wrap it
    return twin
