"""The cells: one module for each paper, found automatically and imported when used."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from typing import Any

_EXPORTED = re.compile(rb"^__all__ = (\[.*?\])$", re.MULTILINE | re.DOTALL)


def _exported(module: str) -> list[str]:
    """Return the exports of a module, read from its text if possible, rather than imported."""
    source = pkgutil.get_data(__name__, f"{module}.py")
    found = None if source is None else _EXPORTED.search(source)
    if found is None:
        return list(importlib.import_module(f"{__name__}.{module}").__all__)
    return list(ast.literal_eval(found[1].decode()))


#: The module of each name.
_modules = {
    name: module.name
    for module in pkgutil.iter_modules(__path__)
    for name in _exported(module.name)
}
__all__ = sorted(_modules)


def __getattr__(name: str) -> Any:
    if name not in _modules:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_modules[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
