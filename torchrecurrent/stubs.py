"""Writes ``cells/__init__.pyi``, so that type checkers see the cells that are found at run time.

Run it as ``python -m torchrecurrent.stubs``; ``make test`` and ``make types`` do.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from . import cells

__all__ = ["main", "stub"]

PATH = Path(cells.__path__[0]) / "__init__.pyi"


def stub() -> str:
    """The text of the stub."""
    lines = ["# Written by torchrecurrent/stubs.py; do not edit."]
    for module in pkgutil.iter_modules(cells.__path__):
        names = sorted(importlib.import_module(f"{cells.__name__}.{module.name}").__all__)
        lines += [f"from .{module.name} import {name} as {name}" for name in names]
    exported = ", ".join(f'"{name}"' for name in cells.__all__)
    return "\n".join([*lines, "", f"__all__ = [{exported}]", ""])


def main() -> None:
    """Write the stub, if it changed."""
    text = stub()
    if not PATH.exists() or PATH.read_text(encoding="utf-8") != text:
        PATH.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
