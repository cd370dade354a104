"""Where links lead: those of a page to its source, and those of the repository's Markdown."""

from __future__ import annotations

import re
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


def headings(text: str) -> set[str]:
    """The anchors that GitHub makes of a Markdown file's headings."""
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_links_in_markdown_lead_to_files_and_headings() -> None:
    root = DOCS.parent
    paths = [
        *root.glob("*.md"),
        *root.glob("benchmarks/*.md"),
        *root.glob("torchrecurrent/**/*.md"),
    ]
    checked, broken = 0, []
    for path in paths:
        text = path.read_text("utf-8")
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            if "://" in link:
                continue
            checked += 1
            name, _, anchor = link.partition("#")
            target = path.parent / name if name else path
            if not target.exists() or (
                anchor and anchor not in headings(target.read_text("utf-8"))
            ):
                broken.append(f"{path.relative_to(root)}: {link}")
    assert checked > 50
    assert not broken
