"""The files of the cells: each stands alone."""

from __future__ import annotations

import ast
from pathlib import Path
from statistics import median

import pytest

from torchrecurrent import cells

FILES = sorted(path for path in Path(cells.__path__[0]).glob("*.py") if path.stem != "__init__")


def imported(tree: ast.Module) -> set[str]:
    """The modules that a file of ``torchrecurrent.cells`` imports from, by their full names."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = ["torchrecurrent", "cells"][: 3 - node.level] if node.level else []
            base = ".".join([*package, *filter(None, [node.module])])
            names |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_cell_imports_another(path: Path) -> None:
    found = imported(ast.parse(path.read_text(encoding="utf-8")))
    assert found & {"torchrecurrent.cell.BaseRecurrentCell", "torchrecurrent.heads.MatrixCell"}
    assert not {name for name in found if name.startswith("torchrecurrent.cells")}


def test_a_reader_soon_sees_the_step() -> None:
    """The house's measure: half of the files have 60 lines at most, and show a step by line 41.

    Those of cells with a matrix in their state need more said before it: heads, ranks, norms. The
    line was 40 before there was a cell of synapses and cells that take the time between steps.
    """
    read = [path.read_text(encoding="utf-8") for path in FILES]
    texts = [text.splitlines() for text in read if "MatrixCell" not in text]
    steps = [next(n for n, line in enumerate(text, 1) if "def step(" in line) for text in texts]
    assert median(len(text) for text in texts) <= 60
    assert median(steps) <= 41


def test_every_form_of_such_an_import_is_seen() -> None:
    for text in (
        "from .lru import Skip",
        "from . import lru",
        "from ..cells.lru import Skip",
        "from ..cells import lru",
        "from torchrecurrent.cells.lru import Skip",
        "import torchrecurrent.cells.lru",
        "def late():\n    from .lru import Skip",
    ):
        assert any(name.startswith("torchrecurrent.cells") for name in imported(ast.parse(text)))
