"""Pictures of cells' equations, for the gallery on the first page."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

from ziamath.config import config
from ziamath.zmath import Latex

__all__ = ["thumbnail"]

#: Of the letters, in pixels; a page may show a picture smaller.
_SIZE = 13
#: What is wider or higher is cut off: smaller, nobody could read it.
_WIDTH, _HEIGHT = 400, 150

config.precision = 2  # decimals of a pixel


def thumbnail(equations: Sequence[str]) -> str:
    """Return an SVG of equations, lines of LaTeX with ``&`` before their equals signs."""
    lines = r" \\ ".join(equations)
    picture = Latex(rf"\begin{{aligned}}{lines}\end{{aligned}}", size=_SIZE).svgxml()
    left, top, *size = map(float, picture.get("viewBox", "").split())
    width, height = map(min, size, (_WIDTH, _HEIGHT))
    picture.set("viewBox", f"{left:g} {top:g} {width:g} {height:g}")
    picture.set("width", f"{width:g}")
    picture.set("height", f"{height:g}")
    return f"{ElementTree.tostring(picture, encoding='unicode')}\n"
