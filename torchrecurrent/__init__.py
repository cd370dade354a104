"""Recurrent cells from the literature, and a layer that runs any of them over a sequence."""

from __future__ import annotations

from . import cells
from .bibliography import cite
from .catalog import list_cells
from .cell import BaseRecurrentCell
from .cells import *  # noqa: F403
from .engine.backend import backend
from .info import CellInfo, cell_info
from .layer import Recurrent
from .named_layer import RecurrentLayer
from .states import detach_hidden
from .wrappers import FastSlow, Multiplicative

__version__ = "0.3.0.dev0"

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
    "detach_hidden",
    "list_cells",
    *cells.__all__,
]
