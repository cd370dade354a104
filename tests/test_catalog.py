"""A cell in the catalogue has all that belongs to it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import torchrecurrent
from torchrecurrent import BaseRecurrentCell, stubs
from torchrecurrent.catalog import cells, layer_of
from torchrecurrent.equations import latex

ROOT = Path(__file__).parents[1]


def test_everything_is_exported(cell_class: type[BaseRecurrentCell]) -> None:
    layer = layer_of(cell_class)
    for value in (cell_class, layer):
        assert getattr(torchrecurrent, value.__name__) is value
        assert value.__name__ in torchrecurrent.__all__
        assert value.__doc__
    assert layer.__name__ + "Cell" == cell_class.__name__
    assert latex(cell_class)


def test_the_citation_is_in_the_bibliography(cell_class: type[BaseRecurrentCell]) -> None:
    bibliography = (ROOT / "docs" / "refs.bib").read_text(encoding="utf-8")
    keys = set(re.findall(r"@\w+\{([^,]+),", bibliography))
    cited = set(re.findall(r"\[(\w+)\]_", cell_class.__doc__ or ""))
    assert cell_class.citation in cited
    assert cited <= keys


def test_the_stub_for_type_checkers_is_current() -> None:
    assert stubs.PATH.read_text(encoding="utf-8") == stubs.stub(), "run `make test` or `make types`"


def test_no_layer_for_a_cell_of_no_module() -> None:
    class LonelyCell(next(iter(cells().values()))):  # type: ignore[misc]
        """A cell without a layer."""

    with pytest.raises(LookupError, match="LonelyCell has no layer"):
        layer_of(LonelyCell)


def test_no_file_is_longer_than_300_lines() -> None:
    files = [
        path
        for folder in ("torchrecurrent", "tests", "docs", "examples", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
        if "_build" not in path.parts
    ]
    assert len(files) > 50
    assert not [path for path in files if len(path.read_text(encoding="utf-8").splitlines()) > 300]


def test_no_cell_is_named_outside_its_file() -> None:
    """The core derives everything from the declaration; it knows no cell."""
    own = {value.__name__ for cell in cells().values() for value in (cell, layer_of(cell))}
    core = [path for path in (ROOT / "torchrecurrent").glob("*.py") if path.stem != "__init__"]
    core += (ROOT / "torchrecurrent" / "engine").glob("*.py")
    assert len(core) > 15
    for path in core:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        assert not own & (names | texts), path
