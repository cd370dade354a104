"""Gives each class a ``forward`` that :func:`torch.compile` counts by itself.

What is compiled is kept with the code of a function, up to ``recompile_limit`` (8) times. Where
one ``forward`` serves all cells, or all layers, the ninth of them in a process is refused with
``fullgraph=True``, and runs uncompiled without.
"""

from __future__ import annotations

import functools
from types import FunctionType

__all__ = ["OwnForward"]


class OwnForward:
    """Its subclasses do not share the code of the ``forward`` that they inherit."""

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        inherited = getattr(cls, "forward", None)
        if "forward" not in vars(cls) and isinstance(inherited, FunctionType):
            cls.forward = _copy(inherited)  # type: ignore[attr-defined]


def _copy(function: FunctionType) -> FunctionType:
    """The same function with another code object."""
    twin = FunctionType(
        function.__code__.replace(),
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    twin.__kwdefaults__ = function.__kwdefaults__
    functools.update_wrapper(twin, function)
    del vars(twin)["__wrapped__"]  # it is the method, not one around it
    return twin
