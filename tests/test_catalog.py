"""A cell in the catalogue has all that belongs to it."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

import torchrecurrent
from torchrecurrent import BaseRecurrentCell, list_cells
from torchrecurrent.catalog import bibliography, stubs
from torchrecurrent.catalog.formula import count
from torchrecurrent.catalog.listing import FAMILIES, cells, layer_of
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
    cited = set(re.findall(r"\[(\w+)\]_", cell_class.__doc__ or ""))
    assert cell_class.citation in cited
    assert cited <= set(bibliography.entries())


def test_every_cell_declares_a_family(cell_class: type[BaseRecurrentCell]) -> None:
    assert cell_class.family in FAMILIES


def test_every_family_has_cells_and_two_sentences_of_advice() -> None:
    assert {cell.family for cell in cells().values()} == set(FAMILIES)
    for advice in FAMILIES.values():
        assert len(re.findall(r"\.( |$)", advice)) == 2


def test_what_is_said_of_the_sizes_of_families() -> None:
    for sizes in [(3, 200), (100, 100), (200, 3)]:
        sizes_of: dict[str, list[int]] = {family: [] for family in FAMILIES}
        for cell in cells().values():
            sizes_of[cell.family].append(count(cell, *sizes))
        gru, lstm = (count(cells()[f"{name}Cell"], *sizes) for name in ("GRU", "LSTM"))
        assert 4 * gru == 3 * lstm
        assert max(sizes_of["one-gate"]) < gru
        # to a tenth, for the numbers and biases that some have more
        near = [
            size
            for size in sizes_of["one-gate"]
            if min(abs(3 * size / gru - 1), abs(1.5 * size / gru - 1)) < 0.1
        ]
        assert 2 * len(near) > len(sizes_of["one-gate"])


def test_the_family_without_matrices_has_none_at_the_state() -> None:
    """Input-gated cells multiply only inputs with a matrix."""
    for cell in cells().values():
        made = cell(4, 4)
        reads_state = any(
            run.of == made.state_names[0] and made.get_parameter(run.weight.name).dim() > 1
            for run in made.layout.runs
        )
        if cell.family == "input-gated":
            assert not reads_state


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*lstm", None),
        ("GRU", ["GRUCell"]),
        ("grucell", ["GRUCell"]),
        ("MUT?", ["MUT1Cell", "MUT2Cell", "MUT3Cell"]),
        ("mut[13]cell", ["MUT1Cell", "MUT3Cell"]),
        ("n?r", ["nBRCell"]),
        ("no such", []),
        ("", []),
    ],
)
def test_list_cells(pattern: str, names: list[str] | None) -> None:
    if names is None:
        names = [name for name in cells() if name.lower().endswith("lstmcell")]
        assert len(names) > 5
    assert list_cells(pattern) == names


def test_list_cells_without_a_pattern_names_all() -> None:
    assert list_cells() == list(cells())
    wrong: Any = 3
    with pytest.raises(TypeError, match=r"^pattern should be of type str, got: int$"):
        list_cells(wrong)


def test_the_stub_for_type_checkers_is_current() -> None:
    assert stubs.PATH.read_text(encoding="utf-8") == stubs.stub(), "run `make test` or `make types`"


def test_no_layer_for_a_cell_of_no_module() -> None:
    class LonelyCell(next(iter(cells().values()))):  # type: ignore[misc]
        """A cell without a layer."""

    with pytest.raises(LookupError, match="LonelyCell has no layer"):
        layer_of(LonelyCell)


def test_most_files_are_short() -> None:
    """A file holds one idea; that is seldom more than 300 lines."""
    lengths = [
        len(path.read_text(encoding="utf-8").splitlines())
        for folder in ("torchrecurrent", "tests", "docs", "examples", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
        if "_build" not in path.parts
    ]
    assert len(lengths) > 50
    assert sum(length > 300 for length in lengths) <= len(lengths) / 20


def test_no_cell_is_named_outside_its_file() -> None:
    """The core derives everything from the declaration; it knows no cell."""
    own = {value.__name__ for cell in cells().values() for value in (cell, layer_of(cell))}
    core = [path for path in (ROOT / "torchrecurrent").glob("*.py") if path.stem != "__init__"]
    for folder in ("declaration", "engine", "interop", "layers"):
        core += (ROOT / "torchrecurrent" / folder).rglob("*.py")
    assert len(core) > 15
    for path in core:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        assert not own & (names | texts), path
