"""Pictures of cells' equations, for the gallery on the first page."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from xml.etree import ElementTree

from ziamath.config import config
from ziamath.zmath import Latex

__all__ = ["thumbnail"]

#: Of the letters, in pixels, and of a picture; cards have a little less room, so the widest shrink.
_SIZE = 12
_WIDTH = 390
#: Around an operator, which has none at the beginning of a piece that is measured by itself.
_SPACE = 2 * 4 / 18 * _SIZE
#: What begins a further line of an equation.
_INDENT = r"&\qquad "
_SEPARATORS = re.compile(r" (?=[+-] )| (?=\\(?:odot|cdot) )|(?<=,) |(?<= )(?=/ )")

config.precision = 2  # decimals of a pixel


def thumbnail(equations: Sequence[str]) -> str:
    """Return an SVG of equations, lines of LaTeX with ``&`` before their equals signs.

    What is wider than a card goes on in the next line.
    """
    left = max(_width(equation.partition("&=")[0]) for equation in equations)
    picture = _drawn([line for each in equations for line in _lines(each, _WIDTH - left)])
    x, y, width, height = map(float, picture.get("viewBox", "").split())
    picture.set("viewBox", f"{x:g} {y:g} {width:g} {height:g}")
    picture.set("width", f"{width:g}")
    picture.set("height", f"{height:g}")
    return f"{ElementTree.tostring(picture, encoding='unicode')}\n"


def _drawn(lines: Sequence[str]) -> ElementTree.Element:
    text = r" \\ ".join(lines)
    drawn: ElementTree.Element = Latex(
        rf"\begin{{aligned}}{text}\end{{aligned}}", size=_SIZE
    ).svgxml()
    return drawn


@cache
def _width(text: str) -> float:
    return float(_drawn((text,)).get("viewBox", "").split()[2]) if text.strip() else 0.0


def _lines(equation: str, room: float) -> Iterator[str]:
    """An equation in lines that are no wider than ``room`` on the right of the equals sign."""
    name, _, right = equation.partition("&=")
    begin = f"{name}&="
    while place := _break(right, room - _width(_INDENT)):
        yield begin + right[:place]
        begin, right = _INDENT, right[place:]
    yield begin + right


def _break(text: str, room: float) -> int:
    """Where a line ends: of the places with the fewest brackets around them the last that fits.

    Return 0 if all of it fits.
    """
    places = [0]
    for match in _SEPARATORS.finditer(text):
        before = text[: match.end()]
        cases = before.count(r"\begin{cases}") - before.count(r"\end{cases}")
        if before.count("{") == before.count("}") and not cases:
            places.append(match.end())
    places.append(len(text))
    width, found = 0.0, dict[int, int]()
    for start, end in pairwise(places):
        width += _width(text[start:end]) + (_SPACE if start else 0)
        if width > room:
            # A line of a few letters is no gain: rather break within brackets.
            return min(found.items(), default=(0, 0))[1]
        if width > room / 3:
            found[text.count("(", 0, end) - text.count(")", 0, end)] = end
    return 0
