"""The built site in a browser: ``make docs``, then ``make docs-test``."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
from browser import Open, served, with_script
from bs4 import BeautifulSoup
from pybtex.database import parse_file  # type: ignore[import-untyped]

import torchrecurrent
from torchrecurrent import cell_info, cite, list_cells
from torchrecurrent.catalog import bibliography
from torchrecurrent.catalog.formula import count, without_values

SITE = Path(__file__).parents[1] / "_build" / "html"
PAGE = SITE / "cells.html"
SPEED = Path(__file__).parents[2] / "benchmarks" / "results" / "all_cells.csv"
#: Of the first of the two shapes.
SPEED_COLUMNS = ("layer", "ms", "/ nn.LSTM")
Row = list[str]

#: What a visitor does on the page, and what the address is afterwards.
CLICKS = """
addEventListener("load", () => {
  const buttons = [...document.querySelectorAll("table.cells th button")];
  const year = buttons.find((each) => each.textContent.trim() === "Year");
  year.click();
  year.click();
  const input = document.querySelector(".table-controls input");
  input.value = "GRU";
  input.dispatchEvent(new Event("input"));
  document.body.dataset.query = location.search;
});
"""

#: Whether the entry of the page is in the part of the side bar that can be seen.
LOOKS = """
addEventListener("load", () => {
  const place = (name) => document.querySelector(name).getBoundingClientRect();
  const [entry, list] = [place(".sidebar-tree li.current-page > a"), place(".sidebar-scroll")];
  document.body.dataset.seen = list.top <= entry.top && entry.bottom <= list.bottom;
  document.body.dataset.scrolled = document.querySelector(".sidebar-scroll").scrollTop;
});
"""


#: How large each picture of equations is shown, relative to its own size.
PICTURES = """
addEventListener("load", async () => {
  const shares = [];
  for (const picture of document.querySelectorAll("ul.equations img")) {
    picture.loading = "eager";
    await picture.decode();
    const [fit, { width, height }] = [getComputedStyle(picture).objectFit, picture];
    const squeezed = (width / height) * (picture.naturalHeight / picture.naturalWidth);
    const whole = fit === "fill" && Math.abs(squeezed - 1) < 0.1; // pixels are whole numbers
    shares.push(whole ? width / picture.naturalWidth : 0);
  }
  document.body.dataset.shares = JSON.stringify(shares);
});
"""


#: The pages that are wider than a window; each is loaded in a frame as wide as that.
MEASURES = """
addEventListener("load", async () => {
  const frame = document.querySelector("iframe");
  const wide = [];
  for (const path of JSON.parse(document.body.dataset.paths)) {
    await new Promise((done) => {
      frame.onload = done;
      frame.src = `dev/${path}`;
    });
    const { scrollWidth, clientWidth } = frame.contentDocument.documentElement;
    if (scrollWidth > clientWidth) wide.push(`${path}: ${scrollWidth} of ${clientWidth}`);
  }
  document.body.dataset.wide = JSON.stringify(wide);
});
"""


def page_rows(page: BeautifulSoup) -> list[Row]:
    """The texts of those rows of the table that can be seen."""
    table = page.select_one("table.cells, table.speeds")
    assert table is not None
    return [
        [cell.get_text().strip() for cell in row.find_all("td")]
        for row in table.select("tbody > tr")
        if not row.has_attr("hidden")
    ]


def written() -> list[Row]:
    """The rows as they stand in the file."""
    return page_rows(BeautifulSoup(PAGE.read_text(encoding="utf-8"), "html.parser"))


def test_the_table_says_what_the_package_does() -> None:
    """Without any script, too: this is the file as it is."""
    rows = written()
    assert [row[0] for row in rows] == list_cells()
    with SPEED.open(newline="") as file:
        times = {row["layer"]: row["/ nn.LSTM"] for row in csv.DictReader(file, SPEED_COLUMNS)}
    assert len(times) > 60
    for name, year, paper, *rest, time in rows:
        info = cell_info(name)
        assert time == times.get(str(info.layer), "")
        assert year == str(info.year)
        assert paper
        size = count(getattr(torchrecurrent, name), 100, 100)
        facts = [info.family, ", ".join(info.states), info.recurrence, info.parameters, str(size)]
        assert rest == facts
    page = BeautifulSoup(PAGE.read_text(encoding="utf-8"), "html.parser")
    assert not page.select("table.cells button, .table-controls")


@pytest.mark.parametrize(
    ("query", "column", "numeric", "words"),
    [
        ("", 0, False, []),
        ("?sort=year&filter=lstm", 1, True, ["lstm"]),
        ("?sort=-year&filter=LSTM", -1, True, ["lstm"]),
        ("?sort=-i-h-100", -7, True, []),
        ("?sort=family&filter=two-stage%20one-gate", 3, False, ["two-stage", "one-gate"]),
        ("?sort=nonsense&filter=no+such+cell", 0, False, ["no", "such", "cell"]),
    ],
)
def test_an_address_sorts_and_filters(
    open_page: Open, query: str, column: int, numeric: bool, words: list[str]
) -> None:
    page = open_page(f"{PAGE.as_uri()}{query}")
    place, down = abs(column), column < 0

    def key(row: Row) -> tuple[int, str]:
        text = row[place]
        return (int(text) * (-1 if down else 1), "") if numeric else (0, text.lower())

    expected = [row for row in written() if all(word in " ".join(row).lower() for word in words)]
    assert page_rows(page) == sorted(expected, key=key)
    found = page.select_one(".table-controls output")
    assert found is not None
    assert found.get_text() == f"{len(expected)} of {len(list_cells())} cells"
    states = [header["aria-sort"] for header in page.select("table.cells th")]
    sorts = query.startswith("?sort") and "nonsense" not in query
    assert states.count("none") == len(states) - sorts
    if sorts:
        assert states[place] == ("descending" if down else "ascending")


@pytest.mark.parametrize(("query", "column"), [("a-ms", 1), ("-b-nn-lstm", -5), ("-a-0-2-5", -3)])
def test_the_table_of_speeds_is_sorted_by_any_column(
    open_page: Open, query: str, column: int
) -> None:
    """Numbers, not texts; cells that 0.2.5 does not have come last, whichever way."""
    rows = page_rows(open_page(f"{(SITE / 'speed.html').as_uri()}?sort={query}"))
    assert len(rows) > 50
    texts = [row[abs(column)] for row in rows]
    numbers = [float(text) for text in texts if text]
    assert numbers == sorted(numbers, reverse=column < 0)
    assert texts == [*filter(None, texts), *[""] * texts.count("")]


def test_clicking_and_typing(open_page: Open, tmp_path: Path) -> None:
    clicked = open_page(with_script(PAGE, CLICKS, tmp_path))
    expected = [row for row in written() if "gru" in " ".join(row).lower()]
    assert 3 < len(expected) < len(written())
    assert page_rows(clicked) == sorted(expected, key=lambda row: -int(row[1]))
    assert clicked.body is not None
    assert clicked.body["data-query"] == "?sort=-year&filter=GRU"


def test_the_first_page_shows_every_cell_in_its_family() -> None:
    page = BeautifulSoup((SITE / "index.html").read_text("utf-8"), "html.parser")
    assert len(page.select("ul.cards:not(.equations) > li")) == 4
    shown = {}
    for section in page.select("section section section:has(> ul.equations)"):
        family = section["id"]
        for card in section.select("ul.equations > li"):
            link, picture = card.select_one("a"), card.select_one("img")
            assert link is not None
            assert picture is not None
            assert str(picture["src"]).endswith(f"/{link.get_text()}Cell.svg")
            shown[link.get_text()] = family
    infos = map(cell_info, list_cells())
    assert shown == {info.layer: info.family.lower() for info in infos}


@pytest.mark.parametrize(
    ("path", "scrolls"),
    [
        ("cells.html", False),
        ("choose.html", False),
        ("cells/AntisymmetricRNNCell.html", False),
        ("cells/WMCLSTMCell.html", True),
    ],
)
def test_the_side_bar_shows_the_entry_of_the_page(
    open_page: Open, tmp_path: Path, path: str, scrolls: bool
) -> None:
    page = open_page(with_script(SITE / path, LOOKS, tmp_path))
    assert page.body is not None
    assert page.body["data-seen"] == "true"
    assert (float(str(page.body["data-scrolled"])) > 0) is scrolls


@pytest.mark.parametrize("width", [390, 1024, 1280])  # a telephone, and what furo lays out apart
def test_no_page_is_wider_than_the_window(open_page: Open, tmp_path: Path, width: int) -> None:
    """Wide tables and equations scroll by themselves. Of the cells' pages the longest is loaded."""
    files = [path for path in SITE.rglob("*.html") if not {"cells", "_modules"} & {*path.parts}]
    files.append(max(SITE.glob("cells/*.html"), key=lambda path: path.stat().st_size))
    paths = [path.relative_to(SITE).as_posix() for path in files]
    (tmp_path / "dev").symlink_to(SITE)
    (tmp_path / "versions.json").write_text('["dev"]')
    (tmp_path / "measure.html").write_text(
        f"<body data-paths='{json.dumps(paths)}'>"
        f"<iframe style='width: {width}px; height: 800px; border: 0'></iframe>"
        f"<script>{MEASURES}</script>"
    )
    with served(tmp_path) as root:
        page = open_page(f"{root}/measure.html")
    assert page.body is not None
    assert json.loads(str(page.body["data-wide"])) == []


@pytest.mark.parametrize("path", ["choose.html", "names.html", "cells/LSTMCell.html"])
def test_pages_load_and_render_their_mathematics(open_page: Open, path: str) -> None:
    page = open_page((SITE / path).as_uri())
    assert page.select("h1")
    assert page.select("mjx-container svg")
    assert not page.select("mjx-merror")


def test_the_page_of_a_cell_has_its_equations_once() -> None:
    for name in list_cells():
        page = BeautifulSoup((SITE / "cells" / f"{name}.html").read_text("utf-8"), "html.parser")
        assert len(page.select("div.math")) == 1, name


def test_no_picture_of_equations_is_cut_off_or_tiny(open_page: Open, tmp_path: Path) -> None:
    """Letters are 12 pixels high in a picture of its own size, so they have at least 9."""
    page = open_page(with_script(SITE / "index.html", PICTURES, tmp_path))
    assert page.body is not None
    shares = json.loads(str(page.body["data-shares"]))
    assert len(shares) == len(list_cells())
    assert min(shares) >= 0.75
    pictures = [path.read_text("utf-8") for path in (SITE / "_images").glob("*Cell.svg")]
    widths = [float(re.findall(r' width="([\d.]+)"', text)[0]) for text in pictures]
    assert len(widths) == len(list_cells())
    assert max(widths) <= 400  # a telephone, 390 pixels wide, has room for 330 in a card


def test_every_function_on_the_page_of_a_cell_has_a_name() -> None:
    for name in list_cells():
        page = BeautifulSoup((SITE / "cells" / f"{name}.html").read_text("utf-8"), "html.parser")
        found = re.findall(r"<?lambda>|<function|<bound|functools\.partial| at 0x", page.get_text())
        assert not found, name


def test_the_page_has_the_bibtex_of_the_cell() -> None:
    page = BeautifulSoup((SITE / "cells" / "LSTMCell.html").read_text("utf-8"), "html.parser")
    blocks = [block.get_text().strip() for block in page.select(".highlight-bibtex pre")]
    assert blocks == [cite(without_values(torchrecurrent.LSTMCell, 3, 5))]


def test_the_bibliography_is_read_as_bibtex_reads_it() -> None:
    parsed = parse_file(Path(torchrecurrent.__path__[0]) / "catalog" / "refs.bib").entries
    assert list(parsed) == list(bibliography.entries())
    for key, entry in bibliography.entries().items():
        assert bibliography.field(entry, "year") == parsed[key].fields["year"]
        title = " ".join(parsed[key].fields["title"].split())
        plain = title.replace("{", "").replace("}", "").replace("--", "\N{EN DASH}")
        assert bibliography.field(entry, "title") == plain


def links(page: BeautifulSoup) -> set[str]:
    """The addresses within the site that a page names."""
    named = page.select("a[href], link[href], script[src], img[src]")
    found = {str(each.get("href") or each.get("src")) for each in named}
    return {
        link for link in found if "://" not in link and not link.startswith(("mailto:", "data:"))
    }


def test_links_within_the_site_lead_somewhere() -> None:
    pages = {
        path.resolve(): BeautifulSoup(path.read_text("utf-8"), "html.parser")
        for path in SITE.rglob("*.html")
    }
    assert len(pages) > 100
    anchors = {path: {each["id"] for each in page.select("[id]")} for path, page in pages.items()}
    broken = []
    for path, page in pages.items():
        for link in links(page):
            address, anchor = urldefrag(link)
            file = unquote(address.partition("?")[0])
            target = (path.parent / file).resolve() if file else path
            known = anchors.get(target)
            if not target.exists() or (anchor and known and unquote(anchor) not in known):
                broken.append(f"{path.relative_to(SITE.resolve())}: {link}")
    assert not broken


def test_the_table_of_speeds_has_every_cell_or_says_that_it_was_not_timed() -> None:
    page = BeautifulSoup((SITE / "speed.html").read_text("utf-8"), "html.parser")
    timed = [link.get_text() for link in page.select("table.speeds td:first-child a")]
    found = re.search(r"Not timed yet: (.*)\.", page.get_text())
    left = found[1].split(", ") if found else []
    assert sorted(timed + left) == sorted(str(cell_info(name).layer) for name in list_cells())


def test_every_page_describes_itself_to_search_engines() -> None:
    pages = [path for path in SITE.rglob("*.html") if "_modules" not in path.parts]
    made = {"genindex.html", "py-modindex.html", "search.html"}  # by Sphinx, from no file
    for path in (path for path in pages if path.name not in made):
        page = BeautifulSoup(path.read_text("utf-8"), "html.parser")
        texts = [str(tag["content"]) for tag in page.select("meta[name=description]")]
        assert len(texts) == 1, path
        assert 10 < len(texts[0]) <= 200, path


def test_pages_are_small_enough_to_load() -> None:
    assert {path.name for path in SITE.rglob("*.html") if path.stat().st_size > 1_000_000} == set()


def test_the_page_of_a_cell_is_in_the_order_of_its_reader() -> None:
    for name in list_cells():
        page = BeautifulSoup((SITE / "cells" / f"{name}.html").read_text("utf-8"), "html.parser")
        heads = [head.get_text().rstrip("\N{PILCROW SIGN}#") for head in page.select("h1, h2")]
        order = ["Example", "Parameters", "States", "Speed", "On the leaderboard"]
        order += ["In the studies", "Signature and options", "Sources and differences", "Citation"]
        assert heads == [name, *(head for head in order if head in heads)]
        assert {"Example", "Signature and options", "Citation"} <= set(heads)
        text = page.get_text()
        assert text.index("Example") < text.index(f"class torchrecurrent.{name}")
        assert len(page.select("details.signature dl.py.class")) == 2
