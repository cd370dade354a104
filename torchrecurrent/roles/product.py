"""Affine functions of the input and of states, and biases that a step adds itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from ..term import Term, symbol
from .role import Printer, Role, Sizes, Source
from .weight import INPUT, Weight

__all__ = ["BiasRole", "ProductRole"]


@dataclass(frozen=True)
class ProductRole(Role):
    """An affine function of the input, of a state, or of both.

    ``of`` names the state, by default the first one. ``rows`` is an attribute of the cell;
    if it is 0, a product of the input alone is the input itself and has no parameter.
    ``columns``, an attribute of the cell too, is how many values of the input it sees, the first
    ones; it is the same in all products with the input.
    """

    input: Weight | None = None
    recurrent: Weight | None = None
    of: str | None = None
    rows: str = "hidden_size"
    columns: str = "input_size"

    @property
    def weights(self) -> tuple[Weight, ...]:
        return tuple(weight for weight in (self.input, self.recurrent) if weight is not None)

    def height(self, cell: Any) -> int:
        return cast("int", getattr(cell, self.rows))

    def reads(
        self, weight: Weight, cell: Sizes, widths: Mapping[str, int]
    ) -> tuple[int | None, str | None]:
        if weight is INPUT:
            return getattr(cell, self.columns), None
        of = self.of or next(iter(widths))
        return cell.recurrent_columns(self.height(cell), widths[of]), of

    def value(self, source: Source, name: str) -> Any:
        return source.product(name, self)

    def term(self, printer: Printer, name: str) -> Term:
        return printer.product(name, self)

    def sides(self, printer: Printer, name: str) -> list[tuple[str, str]]:
        """Return the products with the input and the state, each with its bias, as LaTeX."""
        index, sides = f"_{{{symbol(name)}}}", []
        if self.input is not None:
            bias = f" + b{index}" if printer.biased(self.input) else ""
            seen = symbol("x", "t")
            if self.columns != "input_size":
                seen = rf"\mathrm{{leading}}({seen})"
            sides.append((f"W{index} {seen}", bias))
        if self.recurrent is not None:
            letter, times = ("u", r" \odot") if printer.diagonal else ("U", "")
            bias = f" + d{index}" if printer.biased(self.recurrent) else ""
            state = printer.first(self.of or printer.states[0])
            sides.append((f"{letter}{index}{times} {state.text}", bias))
        return sides


@dataclass(frozen=True)
class BiasRole(Role):
    """The sum of an argument's rows of the biases of the input's and the recurrent products.

    A step that takes its biases as arguments adds them itself: its products have none.
    """

    def value(self, source: Source, name: str) -> Any:
        return source.bias(name)
