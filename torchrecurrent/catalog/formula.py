"""A cell's number of parameters as a formula in the widths I of its input and H of its state."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction

from ..cell import BaseRecurrentCell

__all__ = ["count", "parameter_formula", "without_values"]

#: Cells are laid out at multiples of these, since some have several heads by default: at some
#: pairs of 1, 2 and 3 input units and 1, 2 and 3 hidden ones, whose widths are never equal.
_INPUT, _HIDDEN = 8, 40


def without_values(
    cell: type[BaseRecurrentCell], input_size: int, hidden_size: int
) -> BaseRecurrentCell:
    """Make a cell with default options, whose parameters have shapes only; with I = H if required.

    Raises:
        TypeError: if its constructor needs more than the sizes.
        ValueError: if its constructor takes neither these sizes nor I = H.
    """
    try:
        return cell(input_size, hidden_size, device="meta")
    except ValueError:
        return cell(hidden_size, hidden_size, device="meta")


def count(cell: type[BaseRecurrentCell], input_size: int, hidden_size: int) -> int:
    """Return the number of a cell's parameters at some size.

    Raises:
        TypeError, ValueError: as :func:`without_values`.
    """
    example = without_values(cell, input_size, hidden_size)
    return sum(parameter.numel() for parameter in example.parameters())


def parameter_formula(cell: type[BaseRecurrentCell]) -> str:
    """Return the number of parameters in terms of I and H; of H alone if the two must be equal.

    It follows from six layouts, which determine a polynomial of the second degree, and is checked
    at a seventh; in none of them is I = H, unless it must be, since a cell may then need one map
    fewer. Empty if the numbers are not such a polynomial with integer coefficients.
    """
    found = _polynomial(lambda inputs, units: count(cell, inputs * _INPUT, units * _HIDDEN))
    sizes = {"I": 7 * _INPUT, "H": 4 * _HIDDEN}
    tried = sum(each * math.prod(sizes[name] for name in term) for term, each in found.items())
    if tried != count(cell, sizes["I"], sizes["H"]) or any(
        n.denominator > 1 for n in found.values()
    ):
        return ""
    terms = {term: int(each) for term, each in found.items()}
    of_units = {term[:-1]: terms.pop(term) for term in ("IH", "HH", "H")}
    factor = math.gcd(*of_units.values())
    if factor and sum(map(bool, of_units.values())) > 1:
        inner = _sum({term: each // factor for term, each in of_units.items()})
        return _sum({f"H({inner})": factor, **terms})
    return _sum({**{f"{term}H": each for term, each in of_units.items()}, **terms})


def _polynomial(at: Callable[[int, int], int]) -> dict[str, Fraction]:
    """Return the coefficients by their terms, from second and first differences."""
    one, more_inputs, more_units = at(1, 1), at(2, 1), at(1, 2)
    ii = Fraction(at(3, 1) - 2 * more_inputs + one, 2 * _INPUT**2)
    hh = Fraction(at(1, 3) - 2 * more_units + one, 2 * _HIDDEN**2)
    ih = Fraction(at(2, 2) - more_inputs - more_units + one, _INPUT * _HIDDEN)
    i = Fraction(more_inputs - one, _INPUT) - 3 * ii * _INPUT - ih * _HIDDEN
    h = Fraction(more_units - one, _HIDDEN) - 3 * hh * _HIDDEN - ih * _INPUT
    rest = one - ii * _INPUT**2 - ih * _INPUT * _HIDDEN - hh * _HIDDEN**2 - i * _INPUT - h * _HIDDEN
    return {"II": ii, "IH": ih, "HH": hh, "I": i, "H": h, "": rest}


def _sum(terms: Mapping[str, int]) -> str:
    parts = (
        f"{'' if term and each == 1 else each}{term.replace('II', 'I^2').replace('HH', 'H^2')}"
        for term, each in terms.items()
        if each
    )
    return "+".join(parts).replace("+-", "-") or "0"
