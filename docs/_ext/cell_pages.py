"""Writes a page for each cell of the catalogue, and the lists of all of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cell_facts import Symbolic
from cell_parts import cut, described
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from leaderboard import place_rows, write_boards
from search_terms import search_terms
from study_rows import study_rows
from thumbnails import thumbnail

from torchrecurrent import BaseRecurrentCell, cell_info, cite, equations
from torchrecurrent.catalog import listing as catalog
from torchrecurrent.catalog.bibliography import entries
from torchrecurrent.catalog.formula import count, without_values

if TYPE_CHECKING:
    from sphinx.application import Sphinx

#: Both widths at which the table says how many parameters a cell has.
_SIZE = 100


def _facts(cell: type[BaseRecurrentCell]) -> dict[str, Any]:
    """All that the templates may ask about one cell."""
    if cell.citation not in entries():
        raise LookupError(f"{cell.__name__}.citation: {cell.citation!r} is not in refs.bib")
    return {
        "info": cell_info(cell),
        "count": count(cell, _SIZE, _SIZE),
        "bibtex": cite(without_values(cell, _SIZE, _SIZE)),
        "thumbnail": thumbnail(equations.latex(cell)),
        "symbolic": Symbolic(cell),
        "variants": Symbolic.variants(cell),
        "search_terms": search_terms(cell),
        "studied": study_rows(catalog.layer_of(cell)),
        "places": place_rows(catalog.layer_of(cell).__name__),
        **described(cell),
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
    cells = [_facts(cell) for cell in catalog.cells().values()]
    page = templates.get_template("cell.rst.jinja")
    written = {f"{cell['info'].name}.rst": page.render(cell) for cell in cells}
    written |= {f"{cell['info'].name}.svg": cell["thumbnail"] for cell in cells}
    for stale in (*folder.glob("*.rst"), *folder.glob("*.svg")):
        if stale.name not in written:
            stale.unlink()
    for name, text in written.items():
        _write(folder / name, text)
    for path, text in write_boards(app, templates).items():
        _write(path, text)
    for name in ("families", "gallery", "speed", "table"):
        text = templates.get_template(f"{name}.txt.jinja").render(
            cells=cells, families=catalog.FAMILIES, size=_SIZE
        )
        _write(folder / f"{name}.txt", text)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("builder-inited", write_pages)
    app.connect("autodoc-process-docstring", cut, priority=400)  # before napoleon reads it
    return {"parallel_read_safe": True}
