"""Author-year citations, and ``[key]_`` in docstrings as citations of the bibliography."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import sphinxcontrib.bibtex.plugin
from pybtex.plugin import register_plugin  # type: ignore[import-untyped]
from pybtex.style.formatting.unsrt import Style as UnsrtStyle  # type: ignore[import-untyped]
from sphinxcontrib.bibtex.style.referencing import BracketStyle
from sphinxcontrib.bibtex.style.referencing.author_year import AuthorYearReferenceStyle

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_CITATION = re.compile(r"(?P<textual>(?<=\bin )|(?<=\bby )|(?<=\bof ))?\[(?P<key>\w+)\]_")


def _round() -> BracketStyle:
    return BracketStyle(left="(", right=")")


@dataclass
class RoundAuthorYear(AuthorYearReferenceStyle):
    """(Vecoven et al., 2021); after "in", "by" and "of" Vecoven et al. (2021)."""

    bracket_parenthetical: BracketStyle = field(default_factory=_round)
    bracket_textual: BracketStyle = field(default_factory=_round)
    bracket_year: BracketStyle = field(default_factory=_round)


class ByAuthor(UnsrtStyle):  # type: ignore[misc]
    """Entries in the order of their authors."""

    default_sorting_style = "author_year_title"


def cite(text: str) -> str:
    """``text`` with every ``[key]_`` as a role of sphinxcontrib-bibtex."""

    def role(match: re.Match[str]) -> str:
        return f":cite:{'p' if match['textual'] is None else 't'}:`{match['key']}`"

    return _CITATION.sub(role, text)


def _process_docstring(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    lines[:] = [cite(line) for line in lines]


def setup(app: Sphinx) -> dict[str, Any]:
    sphinxcontrib.bibtex.plugin.register_plugin(
        "sphinxcontrib.bibtex.style.referencing", "author_year_round", RoundAuthorYear
    )
    register_plugin("pybtex.style.formatting", "by_author", ByAuthor)
    app.connect("autodoc-process-docstring", _process_docstring)
    return {"parallel_read_safe": True}
