"""The README's code runs as it stands."""

from __future__ import annotations

import re
import runpy
import textwrap
from pathlib import Path

import pytest
import torch

from torchrecurrent.catalog.listing import cells, layer_of

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_block(number: int, tmp_path: Path) -> None:
    path = tmp_path / "block.py"
    path.write_text(BLOCKS[number], encoding="utf-8")
    names = runpy.run_path(str(path))
    assert "layer" in names


def test_the_cell_that_contributing_writes_is_one() -> None:
    """As a file of the package: its imports are found, and it runs."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    (block,) = re.findall(r"   ```python\n(.*?)\n   ```", text, re.DOTALL)[:1]
    name = "torchrecurrent.cells.written"
    module = {"__name__": name, "__package__": "torchrecurrent.cells"}
    exec(compile(textwrap.dedent(block), name, "exec", dont_inherit=True), module)
    layer = module["CFN"](3, 4)  # type: ignore[operator]
    assert layer(torch.randn(5, 2, 3))[0].shape == (5, 2, 4)


def test_there_are_blocks() -> None:
    assert len(BLOCKS) == 2


def test_it_counts_and_names_the_cells() -> None:
    found = re.search(r"\*\*(\d+) cells\*\*, each with its layer(.*?)\n\n", README, re.DOTALL)
    assert found is not None
    assert int(found[1]) == len(cells())
    named = re.findall(r"`(\w+)`", found[2])
    expected = ["Cell", *(layer_of(cell).__name__ for cell in cells().values()), "proj_size"]
    assert sorted(named) == sorted(expected)


def test_the_changelog_counts_them_too() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert re.findall(r"(\d+) cells", changelog)[0] == str(len(cells()))


def test_the_first_page_of_the_documentation_counts_them_too() -> None:
    index = (ROOT / "docs" / "index.rst").read_text("utf-8")
    counts = re.findall(r"(\d+) recurrent cells", index)
    assert counts == 2 * [str(len(cells()))]
    assert re.findall(r"\| \*\*Cells\*\* \| (\d+) from", README) == counts[:1]
