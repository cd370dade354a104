"""The cells of this package, with the layer and the family of each."""

from __future__ import annotations

from fnmatch import fnmatchcase

from .. import cells as _cells
from ..cell import BaseRecurrentCell
from ..closest import closest
from ..layers.named import RecurrentLayer

__all__ = ["FAMILIES", "cells", "find_cell", "layer_of", "list_cells", "names_of"]

#: What the cells of each family have in common, and when to use one.
FAMILIES: dict[str, str] = {
    "LSTM-like": (
        "A cell state beside the output, which gates write to, keep and show. The first thing to "
        "try; the variants add a gate, let gates see the cell state, or train in deeper stacks."
    ),
    "GRU-like": (
        "One state, a gated mixture of the old state and a candidate that sees a gated part of it. "
        "Take one where an LSTM is good but too large: the GRU has three quarters of its "
        "parameters."
    ),
    "one-gate": (
        "A single gate; in some cells it shares its kernels with the candidate. Take one where few "
        "parameters count: all have fewer than a GRU, most of them one or two thirds as many."
    ),
    "additive": (
        "The candidate sees the input alone, and gates decide how much of it is added to what is "
        "kept. Take one where the state should be easy to interpret."
    ),
    "simple": (
        "No gate: at most the state leaks, at a fixed or a learned rate. Take one as a baseline, "
        "on devices where a gate costs too much, or, with a diagonal recurrence, in deep stacks."
    ),
    "bistable": (
        "A unit can latch onto one of two values and holds it for as long as nothing pushes it "
        "over. Take one where a fact must survive a long, noisy sequence."
    ),
    "ODE": (
        "A time step of a differential equation; where the step is small enough, gradients of most "
        "stay within bounds over long sequences. Take one for physical signals or very long "
        "sequences, and tune its time step and constants for the task."
    ),
    "input-gated": (
        "Gates see the input, and at most a unit's own state, so that all products can be taken "
        "for all steps at once. Take one where speed counts, in a stack, whose layers mix units."
    ),
    "highway": (
        "Gates in depth as well as in time: within a step, or from layer to layer. Take one where "
        "a step calls for a long computation, or where a deep stack has to train."
    ),
    "time-delay": (
        "A candidate looks a fixed number of steps back, a skip connection through time. Take it "
        "for signals with a known lag or period."
    ),
}


def _exported() -> list[object]:
    """Return all exports of the cells' modules, which this imports."""
    return [getattr(_cells, name) for name in _cells.__all__]


def cells() -> dict[str, type[BaseRecurrentCell]]:
    """Return every cell class of this package by name, without aliases, in alphabetical order."""
    found = {
        value.__name__: value
        for value in _exported()
        if isinstance(value, type) and issubclass(value, BaseRecurrentCell)
    }
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def layer_of(cell: type[BaseRecurrentCell]) -> type[RecurrentLayer]:
    """Return the layer class of one of this package's cells.

    Raises:
        LookupError: if the cell has none.
    """
    for value in _exported():
        if isinstance(value, type) and issubclass(value, RecurrentLayer) and value.cell is cell:
            return value
    raise LookupError(
        f"{cell.__name__} has no layer; expected a class with RecurrentLayer as its base and "
        f"cell={cell.__name__} beside it"
    )


def find_cell(argument: str, name: str) -> type[BaseRecurrentCell]:
    """Return the cell of this package with a name, or with a layer of that name, in any case.

    Args:
        argument: the argument that the name was given for, for the error message.
        name: such as ``"LSTM"`` or ``"LSTMCell"``.

    Raises:
        ValueError: if there is no cell of that name.
    """
    known = {each: cell for cell in cells().values() for each in names_of(cell)}
    found = next((known[each] for each in known if each.lower() == name.lower()), None)
    if found is None:
        near = ", ".join(dict.fromkeys(known[each].__name__ for each in closest(name, known, 3)))
        raise ValueError(
            f"{argument} should be one of the names that list_cells() returns, got {name!r}"
            + (f"; close to it: {near}" if near else "")
        )
    return found


def list_cells(pattern: str = "*") -> list[str]:
    """Return the names of this package's cells, in alphabetical order.

    >>> from torchrecurrent import list_cells
    >>> list_cells("*mut*")
    ['MUT1Cell', 'MUT2Cell', 'MUT3Cell']

    Args:
        pattern: a pattern for the name of the cell or of its layer, in upper or lower case,
            with ``*`` for any characters, ``?`` for one and ``[ab]`` for one of several.

    Returns:
        The names, none if no cell matches.

    Raises:
        TypeError: if ``pattern`` is not a string.
    """
    if not isinstance(pattern, str):
        raise TypeError(f"pattern should be of type str, got: {type(pattern).__name__}")
    return [
        name
        for name, cell in cells().items()
        if any(fnmatchcase(each.lower(), pattern.lower()) for each in names_of(cell))
    ]


def names_of(cell: type[BaseRecurrentCell]) -> tuple[str, str]:
    """Return the names of a cell of this package and of its layer."""
    return cell.__name__, layer_of(cell).__name__
