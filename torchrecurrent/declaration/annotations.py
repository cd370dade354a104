"""Reads the annotations of a class or a function, wherever it is defined."""

from __future__ import annotations

import inspect
import sys
import typing
from collections import ChainMap
from collections.abc import Callable
from types import FrameType
from typing import Any

__all__ = ["hints_of"]


def hints_of(value: type | Callable[..., Any]) -> dict[str, Any]:
    """Return the annotations by name, as :func:`typing.get_type_hints` does.

    If annotations are text (``from __future__ import annotations``), that function looks names up
    in the module alone. Here the local names of functions that are defining a class are found
    too, and since they will be gone afterwards, the text is replaced by its value.

    Raises:
        NameError: if an annotation has an unknown name.
    """
    try:
        return typing.get_type_hints(value, include_extras=True)
    except NameError:
        names = ChainMap(*(frame.f_locals for frame in _frames_of(value.__module__)))
        # A base of a class may have been defined in yet another function: its names are kept.
        hints = typing.get_type_hints(value, localns=names, include_extras=True)
        own = inspect.get_annotations(value)
        value.__annotations__ = own | {name: hints[name] for name in own}
        return hints


def _frames_of(module: str) -> typing.Iterator[FrameType]:
    """Yield the active calls of a module's functions, the latest first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__") == module:
            yield frame
        frame = frame.f_back
