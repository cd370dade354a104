"""What is known of a cell without running it: its paper, its states, its size, its recurrence."""

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
    """What is known of a cell with its default options.

    Attributes:
        name: of its class.
        layer: name of the class that runs it over a sequence; ``None``: :class:`Recurrent` does.
        family: one of :data:`torchrecurrent.catalog.listing.FAMILIES`.
        year: of the paper; ``None`` if the package's bibliography does not have it.
        citation: the paper's key in the bibliography.
        title: the paper's; ``None`` as ``year``.
        states: their names, the first of which is the output unless the cell has one apart.
        parameters: how many, as a formula in I, the input's width, and H, the state's, where the
            two differ if they may; empty where they are no polynomial of the second degree.
        recurrence: ``elementwise``: a unit sees the past of no other, and no weight multiplies the
            state; ``diagonal``: likewise, but weights do, one for each unit; ``dense``: matrices
            do. ``two-stage``, ``three-stage``: that many matrix products follow each other in a
            step. ``linear``: the new state is linear in the old one, whatever the input is. For
            a step that can't be traced, as its class declares it.
        fused: whether one compiled kernel can run a whole sequence on the CPU.
        not_fused_because: empty if one can.
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
    """What is known of a cell.

    >>> from torchrecurrent import cell_info
    >>> cell_info("GRU").parameters
    '3H(I+H+2)'

    Args:
        cell: a name from :func:`list_cells`, or that of its layer, in upper or lower case; or a
            class of cells, also one of your own, or of layers.

    Raises:
        ValueError: there is no cell of that name.
        TypeError: ``cell`` is neither a name nor such a class.
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
