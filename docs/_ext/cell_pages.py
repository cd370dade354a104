"""Writes a page for each cell of the catalogue, and the table of all of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cell_facts import Symbolic
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pybtex.database import BibliographyData, parse_file  # type: ignore[import-untyped]

from torchrecurrent import BaseRecurrentCell, catalog, equations

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def _facts(cell: type[BaseRecurrentCell], bibliography: Any) -> dict[str, Any]:
    """All that the templates may ask about one cell."""
    if cell.citation not in bibliography.entries:
        raise LookupError(f"{cell.__name__}.citation: {cell.citation!r} is not in refs.bib")
    entry = bibliography.entries[cell.citation]
    return {
        "name": cell.__name__,
        "layer": catalog.layer_of(cell).__name__,
        "citation": cell.citation,
        "bibtex": BibliographyData({cell.citation: entry}).to_string("bibtex").strip(),
        "equations": equations.latex(cell),
        "symbolic": Symbolic(cell),
        "variants": Symbolic.variants(cell),
    }


def _write(path: Path, text: str) -> None:
    """Write ``path`` only if it changes, so that Sphinx rereads only what did."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def write_pages(app: Sphinx) -> None:
    source = Path(app.srcdir)
    folder = source / "cells"
    folder.mkdir(exist_ok=True)
    templates = Environment(
        loader=FileSystemLoader(source / "_templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters["underline"] = lambda text, mark="=": f"{text}\n{mark * len(text)}"
    bibliography = parse_file(source / "refs.bib")
    cells = [_facts(cell, bibliography) for cell in catalog.cells().values()]
    pages = {f"{cell['name']}.rst": cell for cell in cells}
    for stale in folder.glob("*.rst"):
        if stale.name not in pages:
            stale.unlink()
    for name, cell in pages.items():
        _write(folder / name, templates.get_template("cell.rst.jinja").render(cell))
    table = templates.get_template("cells.txt.jinja").render(cells=cells)
    _write(folder / "table.txt", table)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True}
