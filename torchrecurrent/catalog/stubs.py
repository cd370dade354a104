"""Writes ``cells/__init__.pyi``, so that type checkers see the cells that are found at run time.

There a layer's constructor lists the options of its cell, which the code takes as
``**cell_options``. Run it as ``python -m torchrecurrent.catalog.stubs``; ``make test`` and
``make types`` do.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from pathlib import Path

from .. import cells
from ..activations import Activation
from ..init import Initializer
from ..layers.named import RecurrentLayer

__all__ = ["main", "stub"]

PATH = Path(cells.__path__[0]) / "__init__.pyi"
HEAD = """\
# Written by torchrecurrent/catalog/stubs.py; do not edit.
import collections.abc
from typing import Literal

import torch

from ..activations import Activation
from ..init import Initializer
"""
#: Defaults that are written by their names.
NAMED = {Activation: "Activation", Initializer: "Initializer"}


def stub() -> str:
    """Return the text of the stub."""
    imports: list[str] = []
    layers: list[str] = []
    aliases: list[str] = []
    for module in pkgutil.iter_modules(cells.__path__):
        found = importlib.import_module(f"{cells.__name__}.{module.name}")
        for name in sorted(found.__all__):
            each = getattr(found, name)
            if not (isinstance(each, type) and issubclass(each, RecurrentLayer)):
                imports.append(f"from .{module.name} import {name} as {name}")
            elif each.__name__ == name:
                imports.append(f"from .{module.name} import {name} as _{name}")
                layers.append(_layer(each))
            else:
                aliases.append(f"{name} = {each.__name__}")
    exported = ", ".join(f'"{name}"' for name in cells.__all__)
    return "\n".join([HEAD, *imports, "", f"__all__ = [{exported}]", "", *layers, *aliases, ""])


def _layer(layer: type[RecurrentLayer]) -> str:
    """Write a layer's class on two lines, however long."""
    arguments = ["self"]
    for parameter in inspect.signature(layer).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in arguments:
            arguments.append("*")
        default = "" if parameter.default is parameter.empty else f" = {_default(parameter)}"
        arguments.append(f"{parameter.name}: {_annotation(parameter)}{default}")
    name = layer.__name__
    return f"class {name}(_{name}):\n    def __init__({', '.join(arguments)}) -> None: ..."


def _annotation(parameter: inspect.Parameter) -> str:
    found = parameter.annotation
    if isinstance(found, str):
        return found
    return NAMED.get(found) or inspect.formatannotation(found)


def _default(parameter: inspect.Parameter) -> str:
    """Return the default as source text, if it can be written."""
    return "..." if callable(parameter.default) else repr(parameter.default)


def main() -> None:
    """Write the stub if it has changed."""
    text = stub()
    if not PATH.exists() or PATH.read_text(encoding="utf-8") != text:
        PATH.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
