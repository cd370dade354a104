"""Where a page's links to its source lead."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from runpy import run_path

DOCS = Path(__file__).parents[1]
SITE = DOCS / "_build" / "html"
source_of: Callable[[str, str], str] = run_path(str(DOCS / "_ext" / "repository.py"))["source_of"]


def test_the_source_of_every_page_is_a_file_of_the_repository() -> None:
    made = {"genindex", "py-modindex", "search"}  # by Sphinx, from no file
    names = [path.relative_to(SITE).with_suffix("").as_posix() for path in SITE.rglob("*.html")]
    pages = [name for name in names if name not in made and not name.startswith("_modules/")]
    assert len(pages) > 100
    for page in pages:
        suffix = ".md" if (DOCS / f"{page}.md").exists() else ".rst"
        assert (DOCS.parent / source_of(page, suffix)).is_file(), page


def test_a_page_of_a_cell_leads_to_its_mathematics() -> None:
    assert source_of("cells/LEMCell", ".rst") == "torchrecurrent/cells/lem.py"
    assert source_of("worked_examples/from_equations", ".rst") == "docs/gallery/from_equations.py"
    assert source_of("worked_examples/index", ".rst") == "docs/gallery/GALLERY_HEADER.rst"
    assert source_of("choose", ".rst") == "docs/choose.rst"
