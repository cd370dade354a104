"""Pieces of LaTeX, and the LaTeX of a step's names."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Term", "symbol"]

_GREEK = re.compile(
    "alpha|beta|gamma|delta|epsilon|zeta|eta|theta|kappa|lambda|mu|nu|xi|pi|rho|sigma|tau|phi|psi"
    "|omega|Gamma|Delta|Theta|Lambda|Xi|Pi|Sigma|Phi|Psi|Omega"
)


@dataclass(frozen=True)
class Term:
    """A piece of LaTeX, how tightly it binds (3: an atom), and whether it is only a number."""

    text: str
    strength: int = 3
    scalar: bool = False

    def __format__(self, strength: str) -> str:
        """The LaTeX, in brackets if it binds less tightly than ``strength``."""
        return self.text if self.strength >= int(strength or 0) else f"({self.text})"


def symbol(name: str, time: str = "") -> str:
    """Write a name: ``g_y`` at time ``t`` is ``g_{y,t}``; ``gamma`` is a Greek letter."""
    if name == "dt":
        return r"\Delta t"
    base, _, subscript = re.sub(r"(?<=[A-Za-z])(?=\d+$)", "_", name).partition("_")
    if _GREEK.fullmatch(base):
        base = "\\" + base
    elif len(base) > 1:
        base = rf"\mathrm{{{base}}}"
    if len(subscript) > 1:
        subscript = rf"\mathrm{{{subscript}}}"
    index = ",".join(part for part in (subscript, time) if part)
    return f"{base}_{{{index}}}" if index else base
