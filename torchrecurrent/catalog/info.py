"""Facts about a cell without running it: its paper, states, size and recurrence."""

from __future__ import annotations

from dataclasses import dataclass

from ..cell import BaseRecurrentCell
from ..engine import no_kernel, recurrence_of
from ..layers.named import RecurrentLayer
from .bibliography import entries, field
from .formula import parameter_formula, without_values
from .listing import find_cell, layer_of

__all__ = ["CellInfo", "cell_info"]


@dataclass(frozen=True)
class CellInfo:
    """Facts about a cell with its default options.

    Attributes:
        name: name of its class.
        layer: name of the class that runs it over a sequence; ``None``: :class:`Recurrent` does.
        family: one of :data:`torchrecurrent.catalog.listing.FAMILIES`.
        year: year of the paper; ``None`` if it is not in the package's bibliography.
        citation: the paper's key in the bibliography.
        title: title of the paper; ``None`` if it is not in the package's bibliography.
        states: names of the states; the first is the output unless the cell has a separate one.
        parameters: their number as a formula in I, the width of the input, and H, that of the
            state, where the two differ if they may; empty if it is not a polynomial of the second
            degree.
        recurrence: ``elementwise``: a unit sees the past of no other, and no weight multiplies the
            state; ``diagonal``: likewise, but weights do, one for each unit; ``dense``: matrices
            do. ``two-stage``, ``three-stage``: a step has that many successive matrix products.
            ``linear``: the new state is linear in the old one, whatever the input is. If the
            step can't be traced, its class declares the kind.
        fused: whether one compiled kernel can run a whole sequence on the CPU.
        not_fused_because: the reason why not; empty if one can.
    """

    name: str
    layer: str | None
    family: str
    year: int | None
    citation: str
    title: str | None
    states: tuple[str, ...]
    parameters: str
    recurrence: str
    fused: bool
    not_fused_because: str


def cell_info(cell: str | type[BaseRecurrentCell] | type[RecurrentLayer]) -> CellInfo:
    """Return the facts about a cell.

    >>> from torchrecurrent import cell_info
    >>> cell_info("GRU").parameters
    '3H(I+H+2)'

    Args:
        cell: a name from :func:`list_cells` or the name of its layer, in upper or lower case; or
            a class of cells, including your own, or of layers.

    Raises:
        ValueError: if there is no cell of that name.
        TypeError: if ``cell`` is neither a name nor such a class.
    """
    kind = _class_of(cell)
    example = without_values(kind, 8, 8)
    entry = entries().get(kind.citation, "")
    reason = no_kernel(example)
    return CellInfo(
        name=kind.__name__,
        layer=_layer_name(kind),
        family=kind.family,
        year=int(field(entry, "year")) if entry else None,
        citation=kind.citation,
        title=field(entry, "title") or None,
        states=example.state_names,
        parameters=parameter_formula(kind),
        recurrence=recurrence_of(example),
        fused=not reason,
        not_fused_because=reason,
    )


def _class_of(cell: object) -> type[BaseRecurrentCell]:
    if isinstance(cell, type) and issubclass(cell, RecurrentLayer) and hasattr(cell, "cell"):
        return cell.cell
    if isinstance(cell, type) and issubclass(cell, BaseRecurrentCell) and hasattr(cell, "step"):
        return cell
    if not isinstance(cell, str):
        given = cell.__name__ if isinstance(cell, type) else type(cell).__name__
        raise TypeError(f"cell should be the name of a cell or a class of cells, got: {given}")
    return find_cell("cell", cell)


def _layer_name(kind: type[BaseRecurrentCell]) -> str | None:
    try:
        return layer_of(kind).__name__
    except LookupError:
        return None
