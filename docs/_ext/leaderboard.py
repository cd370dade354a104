"""Writes the tables of the leaderboard, and tells each cell its places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cell_facts import Symbolic

from torchrecurrent.catalog.listing import cells, layer_of
from torchrecurrent.studies.reporting.leaderboard import Entry, mean_places, read
from torchrecurrent.studies.reporting.numbers import decimals
from torchrecurrent.studies.tasks.registry import STUDIES

if TYPE_CHECKING:
    from sphinx.application import Sphinx

__all__ = ["PlaceRow", "board", "place_rows", "write_boards"]

#: What `python -m benchmarks.leaderboard` wrote.
FOLDER = Path(__file__).parents[1] / "leaderboard"


@dataclass(frozen=True)
class PlaceRow:
    """One cell's place on a task."""

    study: str
    setting: str
    place: str
    score: str
    best: str


@cache
def board() -> Mapping[str, list[Entry]]:
    """The entries of each study, by place."""
    found: dict[str, list[Entry]] = {}
    for each in read(FOLDER / "scores.csv"):
        found.setdefault(each.study, []).append(each)
    return {name: found[name] for name in STUDIES if name in found}


def place_rows(layer: str) -> list[PlaceRow]:
    """The places of a layer."""
    return [
        PlaceRow(
            each.study,
            each.setting,
            f"{each.place} of {len(entries)}",
            f"{_score(each)} {each.measure}",
            f"{_score(entries[0])}, {entries[0].layer}",
        )
        for entries in board().values()
        for each in entries
        if each.layer == layer
    ]


def _score(entry: Entry, error: bool = True) -> str:
    if entry.mean is None:
        return "diverged"
    known = [entry.mean, *([entry.error] if error and entry.error is not None else [])]
    return " ± ".join(decimals(*known))


def _pages() -> dict[str, str]:
    """The cell of each layer, whose page a table links to."""
    return {layer_of(cell).__name__: name for name, cell in cells().items()}


def write_boards(app: Sphinx, templates: Any) -> dict[Path, str]:
    """The text of the pages, by their files."""
    entries = [each for found in board().values() for each in found]
    by_layer: dict[str, dict[str, Entry]] = {}
    for each in entries:
        by_layer.setdefault(each.layer, {})[each.study] = each
    shared = {"studies": board(), "pages": _pages(), "score": _score}
    absent = {layer: name for layer, name in _pages().items() if layer not in by_layer}
    tied = [layer for layer, name in absent.items() if Symbolic(cells()[name]).tied]
    folder = Path(app.srcdir) / "leaderboard"
    page = templates.get_template("leaderboard_task.rst.jinja")
    written = {
        folder / f"{name}.rst": page.render(
            **shared, name=name, about=STUDIES[name].about, source=STUDIES[name].source, entries=own
        )
        for name, own in board().items()
    }
    written[folder / "table.txt"] = templates.get_template("leaderboard.txt.jinja").render(
        **shared,
        layers=by_layer,
        means=mean_places(entries),
        absent=[layer for layer in absent if layer not in tied],
        tied=tied,
    )
    return written
