"""Imports run one way: each room of the package knows only those before it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

import torchrecurrent

ROOT = Path(torchrecurrent.__path__[0])
#: The rooms, a file or folder each; of the engine its folders, and its face.
ORDER = [
    "across", "activations", "by_name", "checks", "closest", "complex_numbers", "constraints",
    "fresh", "init", "normalization", "interop", "saved", "term", "roles", "declaration",
    "engine.ir", "engine.program", "engine.modules", "engine.disk", "engine.cpu", "engine.gpu",
    "engine.run", "engine", "foreign", "published", "cell", "declaring", "layers", "heads", "cells",
    "terms", "catalog", "equations", "migration", "testing", "studies", "cli", "__main__",
]  # fmt: skip
#: What makes the package's own names is known to all: a version.
FACES = {""}


def room(name: Sequence[str]) -> str:
    """The room of a module, by the parts of its name within the package."""
    parts = list(name)
    if parts[:1] != ["engine"]:
        return parts[0] if parts else ""
    folder = parts[1] if len(parts) > 1 else ""
    return f"engine.{folder}" if folder and (ROOT / "engine" / folder).is_dir() else "engine"


def imported(file: Path) -> Iterator[list[str]]:
    """The modules of the package that are imported with a file: not later, not for types alone."""
    package = list(file.relative_to(ROOT).parts[:-1])
    for node in at_once(ast.parse(file.read_text(encoding="utf-8")).body):
        base = package[: len(package) - node.level + 1]
        module = base + (node.module.split(".") if node.module else [])
        for alias in node.names:
            inner = ROOT.joinpath(*module, alias.name)
            is_module = inner.is_dir() or inner.with_suffix(".py").exists()
            yield [*module, alias.name] if is_module else module


def at_once(body: Sequence[ast.stmt]) -> Iterator[ast.ImportFrom]:
    for node in body:
        if isinstance(node, ast.ImportFrom) and node.level:
            yield node
        elif isinstance(node, ast.ClassDef) or (
            isinstance(node, ast.If | ast.Try) and "TYPE_CHECKING" not in ast.dump(node)
        ):
            yield from at_once(node.body)


def is_for_types(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def test_imports_run_one_way() -> None:
    files = [file for file in ROOT.rglob("*.py") if file != ROOT / "__init__.py"]
    assert len(files) > 150
    seen = set()
    for file in files:
        here = room(file.relative_to(ROOT).with_suffix("").parts)
        seen.add(here)
        for module in imported(file):
            there = room(module)
            if there != here and there not in FACES:
                assert ORDER.index(there) < ORDER.index(here), f"{file} imports {'.'.join(module)}"
            # the engine has a face, of which cli may look behind: it shows what the machine has
            if not here.startswith("engine") and here != "cli":
                assert not there.startswith("engine."), f"{file} imports {'.'.join(module)}"
    assert seen - FACES == set(ORDER)
