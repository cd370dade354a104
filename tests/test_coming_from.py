"""The examples of docs/coming_from run, and print what the pages say."""

from __future__ import annotations

import importlib.util
import itertools
import re
import runpy
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

import torchrecurrent

from . import peers

PAGES = Path(__file__).parents[1] / "docs" / "coming_from"
BLOCK = re.compile(
    r"^\.\. code-block:: (\w+)\n   :caption: ([^\n]+)\n\n((?:(?:   [^\n]*)?\n)+)", re.MULTILINE
)
#: By the caption of an example, what has to be there to run it; ours are by "here". The code of
#: 0.2.5 runs here too, which is what its page says.
NEEDS = {
    "here": "torchrecurrent",
    "torch": "torch",
    "torchrecurrent 0.2.5": "torchrecurrent",
    "brc 0.1.2": "brc_pytorch.modules",
    "brc-pytorch 0.1.3": "brc_pytorch.layers",
    "ur-lstm-torch 0.0.2": "ur_lstm",
}


@dataclass(frozen=True)
class Example:
    """One block of code, and what the page says that it prints."""

    page: str
    caption: str
    code: str
    output: str

    def runs(self) -> bool:
        try:
            return importlib.util.find_spec(NEEDS[self.caption]) is not None
        except ModuleNotFoundError:
            return False


def examples(page: Path) -> Iterator[Example]:
    """In order; a block of text says what the blocks of code before it print."""
    waiting: list[tuple[str, str]] = []
    for language, caption, indented in BLOCK.findall(page.read_text(encoding="utf-8")):
        text = textwrap.dedent(indented).strip() + "\n"
        if language == "python":
            waiting.append((caption, text))
            continue
        assert caption == ("both print" if len(waiting) == 2 else "prints")
        yield from (Example(page.stem, *each, text) for each in waiting)
        waiting = []
    assert not waiting


EXAMPLES = [one for page in sorted(PAGES.glob("*.rst")) for one in examples(page)]
RUNNABLE = [one for one in EXAMPLES if one.runs()]


def ids(chosen: list[Example]) -> list[str]:
    numbers = itertools.count()
    return [f"{one.page}: {one.caption} {next(numbers)}" for one in chosen]


def draw(*shape: int) -> NDArray[np.float64]:
    return torch.randn(*shape, dtype=torch.float64).numpy()


def checkpoint(page: str) -> dict[str, Tensor]:
    """The checkpoints that the reader of a page would have saved."""
    weights: peers.State = {}
    if page == "brc":
        weights = peers.brc_weights("BRC", 128, 256, 3, True, draw)
    elif page == "brc_pytorch":
        weights = peers.brc_pytorch_weights(True, 32, 16, 3, 2, draw)
    elif page == "ur_lstm_torch":
        weights = peers.ur_lstm_weights(10, 20, 2, draw)
    elif page == "torchrecurrent":
        for layer, width in enumerate((10, 20)):
            weights[f"cells.{layer}.weight_ih"] = draw(60, width)
            weights[f"cells.{layer}.weight_hh"] = draw(40)
            weights[f"cells.{layer}.bias_ih"] = draw(60)
            weights[f"cells.{layer}.bias_hh"] = draw(40)
    return {name: torch.from_numpy(value).float() for name, value in weights.items()}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # brc's, where it is installed
@pytest.mark.parametrize("example", RUNNABLE, ids=ids(RUNNABLE))
def test_it_prints_what_the_page_says(
    example: Example,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(checkpoint(example.page), "checkpoint.pt")
    Path("example.py").write_text(example.code, encoding="utf-8")
    runpy.run_path("example.py")
    assert capsys.readouterr().out == example.output


@pytest.mark.parametrize("example", EXAMPLES, ids=ids(EXAMPLES))
def test_it_is_python(example: Example) -> None:
    compile(example.code, f"{example.page}.rst", "exec")


def test_every_page_has_both_sides() -> None:
    captions = {
        page.stem: {one.caption for one in EXAMPLES if one.page == page.stem}
        for page in PAGES.glob("*.rst")
        if page.stem != "index"
    }
    assert len(captions) == 5
    assert all(found > {"here"} for found in captions.values())
    assert set().union(*captions.values()) == set(NEEDS)


#: A row of the table of what cells of 0.2.5 did otherwise: a layer, and options of it.
ROW = re.compile(r"^   \* - ``(\w+)``\n     - .*\n(?:       .*\n)*     - (.*)$", re.MULTILINE)
OTHERWISE = ROW.findall((PAGES / "torchrecurrent.rst").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("name", "text"), OTHERWISE, ids=[name for name, _ in OTHERWISE])
def test_the_options_that_make_a_cell_as_it_was(name: str, text: str) -> None:
    layer = getattr(torchrecurrent, name)
    given = re.match(r"``(.*?)``", text)
    assert given or text == "not offered"
    options = eval(f"dict({given[1] if given else ''})")
    cell = layer(4, 4, **options).cells[0]
    defaults = layer(4, 4).cells[0]
    for option, value in options.items():
        assert getattr(cell, option) == value != getattr(defaults, option)


def test_the_table_has_every_row() -> None:
    page = (PAGES / "torchrecurrent.rst").read_text(encoding="utf-8")
    table = page[page.index("     - As in 0.2.5") : page.index("All others compute the same")]
    assert len(OTHERWISE) == table.count("   * - ") > 20
