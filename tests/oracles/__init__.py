"""Independent NumPy versions of the cells, written from the papers.

One module for each module of ``torchrecurrent.cells``, one function for each cell under the
name of its class. It takes the parameters, one input vector and the states in the order of
``state_names``, and returns the output and the new states of one time step; a number that is
an option of the cell, such as ``dt``, is a keyword argument of the same name. Everything is
float64 and unbatched. Nothing here may come from the code under test, save names, shapes and
the order of blocks in a stacked parameter.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from .mathematics import Step

__all__ = ["Oracle", "oracle"]

Oracle: TypeAlias = Callable[..., Step]


def oracle(name: str) -> Oracle:
    """The oracle of the cell class called ``name``.

    Raises:
        LookupError: no module of this package defines it.
    """
    for entry in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{entry.name}")
        function: Oracle | None = vars(module).get(name)
        # a module's imports are no oracles
        if function is not None and getattr(function, "__module__", None) == module.__name__:
            return function
    raise LookupError(
        f"{name} has no oracle: write its mathematics, from the paper, as a function {name} "
        f"in tests/oracles/{_file_of(name)}"
    )


def _file_of(name: str) -> str:
    """The place of a cell's oracle: the file name of the cell's module."""
    cells = Path(__file__).parents[2] / "torchrecurrent" / "cells"
    for file in sorted(cells.glob("*.py")):
        if f"class {name}(" in file.read_text(encoding="utf-8"):
            return file.name
    return "<file name of the cell's module>"
