"""Recurrent cells from the literature, and a layer that runs any of them over a sequence."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from . import cells
from .closest import unknown_attribute

# Exported programs name this operator, and may be loaded right after the package.
from .engine.run import library as _operator  # noqa: F401

if TYPE_CHECKING:
    from .catalog.bibliography import cite
    from .catalog.info import CellInfo, cell_info
    from .catalog.listing import list_cells
    from .cell import BaseRecurrentCell
    from .cells import *  # noqa: F403
    from .declaring import declare
    from .engine import backend
    from .layers.named import RecurrentLayer
    from .layers.recurrent import Recurrent
    from .layers.states import detach_hidden
    from .layers.wrappers import FastSlow, Multiplicative

__version__ = "0.3.0.dev0"

#: The module of each name; a module is imported when one of its names is first used.
_modules = {
    "BaseRecurrentCell": "cell",
    "CellInfo": "catalog.info",
    "FastSlow": "layers.wrappers",
    "Multiplicative": "layers.wrappers",
    "Recurrent": "layers.recurrent",
    "RecurrentLayer": "layers.named",
    "backend": "engine",
    "cell_info": "catalog.info",
    "cite": "catalog.bibliography",
    "declare": "declaring",
    "detach_hidden": "layers.states",
    "list_cells": "catalog",
}

__all__ = [
    "BaseRecurrentCell",
    "CellInfo",
    "FastSlow",
    "Multiplicative",
    "Recurrent",
    "RecurrentLayer",
    "__version__",
    "backend",
    "cell_info",
    "cite",
    "declare",
    "detach_hidden",
    "list_cells",
    *cells.__all__,
]


if not TYPE_CHECKING:  # checkers see the names above, and report any other themselves

    def __getattr__(name: str) -> Any:
        if name in _modules:
            value = getattr(importlib.import_module(f"{__name__}.{_modules[name]}"), name)
        elif name in cells.__all__:
            value = getattr(cells, name)
        else:
            raise unknown_attribute(__name__, name, __all__)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
