"""The names of widths and pointers in emitted code, in every language."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["INPUT", "ONE", "Slots", "Width", "extent"]


@dataclass(frozen=True)
class Width:
    """A number of columns: its name, since the code serves all sizes, and its value."""

    name: str
    units: int


#: The input's width, which is read from the input; -1 as in a shape of torch.
INPUT = Width("I", -1)
#: One number for a whole row.
ONE = Width("1", 1)


def extent(widths: Width | Iterable[Width]) -> str:
    """Return the text of one width or of the sum of several."""
    if isinstance(widths, Width):
        return widths.name
    counts = Counter(width.name for width in widths)
    names = sorted(counts, key=lambda name: (len(name), name))  # w2 comes before w10
    return " + ".join(f"{counts[name]} * {name}" for name in names) or "0"


class Slots:
    """The pointers that a kernel takes, numbered in the order of their first use."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, name: str) -> str:
        """Return the code's name for the pointer that the launcher knows as ``name``."""
        if name not in self.names:
            self.names.append(name)
        return f"p{self.names.index(name)}"
