"""The cells of this package, and the layer of each."""

from __future__ import annotations

from . import cells as _cells
from .cell import BaseRecurrentCell
from .named_layer import RecurrentLayer

__all__ = ["cells", "layer_of"]


def cells() -> dict[str, type[BaseRecurrentCell]]:
    """Every cell class of this package by its name, aliases left out, in the alphabet's order."""
    found = {
        value.__name__: value
        for value in vars(_cells).values()
        if isinstance(value, type) and issubclass(value, BaseRecurrentCell)
    }
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def layer_of(cell: type[BaseRecurrentCell]) -> type[RecurrentLayer]:
    """The layer class of one of this package's cells.

    Raises:
        LookupError: the cell has none.
    """
    for value in vars(_cells).values():
        if isinstance(value, type) and issubclass(value, RecurrentLayer) and value.cell is cell:
            return value
    raise LookupError(
        f"{cell.__name__} has no layer; expected a class with RecurrentLayer as its base and "
        f"cell={cell.__name__} beside it"
    )
