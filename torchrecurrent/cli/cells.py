"""List the cells, with what each is and how many parameters it has.

The exit status is 2 if there is no such cell or family.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence

from ..catalog.info import CellInfo, cell_info
from ..catalog.listing import FAMILIES, list_cells
from ..closest import closest

__all__ = ["arguments", "run"]

_HEADER = ("Cell", "Year", "States", "Recurrence", "Parameters")
#: The fewest columns for a title, and the most for the states.
_TITLE, _STATES = 20, 9


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare a pattern and a family, both optional."""
    parser.add_argument(
        "glob", nargs="?", default="*", help='part of the cells, such as "*lstm*" (default: all)'
    )
    parser.add_argument("--family", default="", help=f"only one of {', '.join(FAMILIES)}")
    parser.epilog = "I is the width of the input, H that of the state."


def run(options: argparse.Namespace) -> int:
    """Print the table; return 2 if there is nothing to list."""
    families = [name for name in FAMILIES if name.lower().startswith(options.family.lower())]
    if not families:
        return _fail(f"no family {options.family!r}; expected one of {', '.join(FAMILIES)}")
    found = [cell_info(name) for name in list_cells(options.glob)]
    shown = [info for info in found if info.family in families]
    if not shown:
        kind = f"cell of the family {' or '.join(families)}" if options.family else "cell"
        infos = map(cell_info, list_cells())
        alike = [info.layer or info.name for info in infos if info.family in families]
        near = closest(options.glob, alike, 3)
        hint = f"close to it: {', '.join(near)}" if near else "without a name all are listed"
        return _fail(f"no {kind} is called {options.glob!r}; {hint}")
    _table(shown, shutil.get_terminal_size().columns)
    return 0


def _fail(text: str) -> int:
    print(f"torchrecurrent cells: error: {text}", file=sys.stderr)
    return 2


def _table(infos: Sequence[CellInfo], width: int) -> None:
    """Print one row per cell, by family; with the papers' titles if ``width`` has room."""
    rows = {info.name: _row(info) for info in infos}
    widths = [max(map(len, column)) for column in zip(_HEADER, *rows.values(), strict=True)]

    def line(row: Sequence[str], title: str) -> str:
        text = "  ".join(f"{cell:<{size}}" for cell, size in zip(row, widths, strict=True))
        room = width - len(text) - 2
        if room < _TITLE:
            return text.rstrip()
        return f"{text}  {title if len(title) <= room else title[: room - 3] + '...'}"

    print(line(_HEADER, "Paper"))
    for family in FAMILIES:
        members = [info for info in infos if info.family == family]
        if members:
            print(f"\n{family}")
        for info in members:
            print(line(rows[info.name], info.title or ""))


def _row(info: CellInfo) -> tuple[str, ...]:
    year = "" if info.year is None else str(info.year)
    return info.name, year, _states(info.states), info.recurrence, info.parameters


def _states(names: Sequence[str]) -> str:
    """Return the names; if there is no room for all, the first ones and the number of the rest."""
    text = ", ".join(names)
    for shown in range(len(names) - 1, 0, -1):
        if len(text) <= _STATES:
            break
        text = ", ".join([*names[:shown], f"+{len(names) - shown}"])
    return text
