"""The parts of a cell's docstring and its facts from elsewhere, for its page."""

from __future__ import annotations

import csv
import inspect
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from citations import cite

from torchrecurrent import BaseRecurrentCell, RecurrentLayer
from torchrecurrent.catalog import listing

if TYPE_CHECKING:
    from sphinx.application import Sphinx

__all__ = ["cut", "described"]

#: What `python -m benchmarks.all_cells` wrote.
SPEED = Path(__file__).parents[2] / "benchmarks" / "results" / "all_cells.csv"
#: Beginnings of the paragraphs that belong to the signature.
_FOLDED = ("Args:", "Inputs:", "Outputs:", "Initialisation:")


@dataclass(frozen=True)
class Parts:
    """A docstring in three parts, each of them text in reStructuredText.

    Attributes:
        lead: what the cell is, when to use it, its equations.
        folded: its arguments and first values.
        sources: where the equations were checked, and what differs there.
    """

    lead: str
    folded: str
    sources: str

    @classmethod
    def of(cls, text: str) -> Parts:
        lead: list[str] = []
        folded: list[str] = []
        sources: list[str] = []
        place = lead
        for paragraph in inspect.cleandoc(text).split("\n\n"):
            if paragraph.startswith(_FOLDED):
                place = folded
            elif paragraph.startswith("Sources:"):
                place = sources
            place.append(paragraph)
        joined = ("\n\n".join(each) for each in (lead, folded, sources))
        return cls(*map(cite, joined))


@dataclass(frozen=True)
class Example:
    """A call of a layer, H = 16, on 50 steps of 4 sequences: the input's width, the output's."""

    input_size: int
    output_shape: tuple[int, ...]

    @classmethod
    def of(cls, layer: type[RecurrentLayer]) -> Example:
        for width in (3, 16):  # some cells must be as wide as their input
            try:
                built = layer(width, 16)
            except ValueError:
                continue
            with torch.no_grad():
                return cls(width, tuple(built(torch.zeros(50, 4, width))[0].shape))
        raise LookupError(f"{layer.__name__}: no example was found")


@cache
def _speeds() -> dict[str, list[str]]:
    with SPEED.open(newline="") as file:
        return {name: numbers for name, *numbers in list(csv.reader(file))[1:]}


def speed(layer: str) -> list[str] | None:
    """Return what was measured; ``None`` if the cell was not timed.

    At each of two shapes: milliseconds, relative to nn.LSTM, and to the cell in 0.2.5 or "".
    """
    return _speeds().get(layer)


def cut(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Leave of a cell's docstring what belongs to its signature: the page has the rest."""
    if isinstance(obj, type) and obj in set(listing.cells().values()):
        lines[:] = [*Parts.of("\n".join(lines)).folded.splitlines(), ""]


def described(cell: type[BaseRecurrentCell]) -> dict[str, Any]:
    """All that the templates may ask about one cell from here."""
    layer = listing.layer_of(cell)
    return {
        "parts": Parts.of(cell.__doc__ or ""),
        "example": Example.of(layer),
        "speed": speed(layer.__name__),
    }
