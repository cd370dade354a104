"""What a reader may call a cell: entries of the index, which the search box reads too."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pybtex.database import parse_file  # type: ignore[import-untyped]
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective

from torchrecurrent import BaseRecurrentCell, cell_info
from torchrecurrent.catalog import listing

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

__all__ = ["search_terms"]

#: What docs/names.rst shows: names of the literature, and the cell's class here.
OTHER_NAMES = Path(__file__).parents[1] / "other_names.csv"
#: Greek letters that print functions, in every cell.
_FUNCTIONS = {"sigma", "phi", "psi"}


def search_terms(cell: type[BaseRecurrentCell]) -> list[str]:
    """Return a cell's names, the title and the authors of its paper, and its Greek letters.

    A semicolon stands between an entry and what is below it.
    """
    info = cell_info(cell)
    found = [*listing.names_of(cell), *_spoken(cell), *_other_names().get(info.name, ())]
    found += [f"{author}; {info.year}" for author in _authors(info.citation)]
    found += [info.title or "", *_greek(cell)]
    return list(dict.fromkeys(filter(None, found)))


def _spoken(cell: type[BaseRecurrentCell]) -> list[str]:
    """What the docstring's first words call it: a name, and often its abbreviation."""
    first = (cell.__doc__ or "").strip().partition("\n\n")[0]
    return " ".join(first.partition("[")[0].split()).replace('"', "").split(", ")


@cache
def _other_names() -> dict[str, list[str]]:
    """By the cell's name."""
    found = {}
    with OTHER_NAMES.open(newline="") as file:
        for names, here in csv.reader(file):
            (cell,) = re.findall(r":class:`(\w+)`", here)
            found[cell] = names.split(", ")
    return found


@cache
def _bibliography() -> Any:
    return parse_file(Path(listing.__file__).parent / "refs.bib").entries


def _authors(citation: str) -> Iterator[str]:
    """Their family names."""
    for person in _bibliography()[citation].persons["author"]:
        yield " ".join(map(str, person.rich_prelast_names + person.rich_last_names))


def _greek(cell: type[BaseRecurrentCell]) -> Iterator[str]:
    """The Greek letters of its equations, each by its name and as it is."""
    for name in re.findall(r"\\([a-z]+)", cell.__doc__ or ""):
        letter = unescape(f"&{name};")
        if name not in _FUNCTIONS and "GREEK SMALL" in unicodedata.name(letter[0], ""):
            yield from (name, letter)


class SearchTerms(SphinxDirective):
    """Entries of the index, one a line, that lead to the page.

    Those of Sphinx's own ``index`` lead to a place without text, of which the search box, which
    shows an excerpt, makes an error.
    """

    has_content = True

    def run(self) -> list[Any]:
        entries = [("single", term, "", "main", None) for term in self.content]
        return [addnodes.index(entries=entries)]


def _written_again(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Name the cells' pages: Sphinx forgets the entries of those that a build does not write."""
    return [page for page in env.all_docs if page.startswith("cells/")]


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("search-terms", SearchTerms)
    app.connect("env-updated", _written_again)
    return {"parallel_read_safe": True}
