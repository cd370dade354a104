"""What a caller gave where a cell is due: a name is looked up, a layer refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from torch import nn

__all__ = ["Maker", "OneCell", "given_cell", "refuse_layer"]

#: A class or factory of cells, or a cell.
Maker: TypeAlias = Callable[..., nn.Module] | nn.Module
#: The same, or the name of a cell of this package or of its layer.
OneCell: TypeAlias = Maker | str


def given_cell(argument: str, value: OneCell) -> Maker:
    """The class, factory or module itself, or the class that a name stands for.

    Raises:
        TypeError: a layer, or nothing that a cell can be made of.
        ValueError: there is no cell of that name.
    """
    if isinstance(value, str):
        from ..catalog.listing import find_cell  # here, since the cells import this module

        return find_cell(argument, value)
    if not callable(value):
        raise TypeError(
            f"{argument} should be a class of cells, the name of one, a factory or a module, "
            f"got: {type(value).__name__}"
        )
    refuse_layer(argument, value)
    return value


def refuse_layer(argument: str, value: object) -> None:
    """Raise TypeError if ``value`` is a layer or a class of layers; the message names the cell."""
    kind = value if isinstance(value, type) else type(value)
    due = _due(kind)
    if due:
        raise TypeError(
            f"{argument}: {kind.__name__} is a layer, which runs over a whole sequence by itself; "
            f"expected {due}"
        )


def _due(kind: type) -> str:
    """Name what should be given instead of a class of layers; empty for any other class."""
    from .named import RecurrentLayer
    from .recurrent import Recurrent  # here, since both import this module

    if issubclass(kind, RecurrentLayer) and hasattr(kind, "cell"):
        return f"its cell, {kind.cell.__name__}"
    if issubclass(kind, Recurrent):
        return "a cell, by itself or in a list with one for each layer"
    for theirs in (nn.LSTM, nn.GRU, nn.RNN):
        if issubclass(kind, theirs):
            cell = f"{theirs.__name__}Cell"
            return f"a cell: {cell} of this package, or torch.nn.{cell}"
    return ""
