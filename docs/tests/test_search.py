"""What the search box finds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from browser import Open, served

from torchrecurrent import cell_info, list_cells

SITE = Path(__file__).parents[1] / "_build" / "html"


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Of the site as the only version: the results' excerpts are not read from files."""
    (tmp_path / "dev").symlink_to(SITE)
    (tmp_path / "versions.json").write_text('["dev"]')
    with served(tmp_path) as root:
        yield f"{root}/dev"


@pytest.mark.parametrize(
    ("words", "cells"),
    [
        ("BRC", ["BRCell"]),
        ("+RNN", ["IntersectionRNNCell"]),
        ("peephole", ["PeepholeLSTMCell"]),
        ("vecoven", ["BRCell", "nBRCell"]),
        ("Nested LSTMs", ["NestedLSTMCell"]),
        ("zeta", ["FastGRNNCell"]),
        ("\N{GREEK SMALL LETTER ZETA}", ["FastGRNNCell"]),
    ],
)
def test_a_cell_is_found_first(open_page: Open, address: str, words: str, cells: list[str]) -> None:
    page = open_page(f"{address}/search.html?q={quote(words)}")
    found = [link.get_text() for link in page.select("ul.search > li > a")]
    assert sorted(found[: len(cells)]) == cells


def test_every_cell_is_known_by_its_names_and_its_paper() -> None:
    text = (SITE / "searchindex.js").read_text("utf-8")
    index = json.loads(text.removeprefix("Search.setIndex(").removesuffix(")"))
    for name in list_cells():
        info = cell_info(name)
        page = index["docnames"].index(f"cells/{name}")
        assert info.layer
        assert info.title
        for words in (name, info.layer, info.title, str(info.year)):
            places = [place for place, _, main in index["indexentries"][words.lower()] if main]
            assert page in places, (name, words)
