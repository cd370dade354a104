"""The cells: one module a paper. Every module here is found by itself."""

from __future__ import annotations

import importlib
import pkgutil

__all__: list[str] = []
for _module in pkgutil.iter_modules(__path__):
    _cells = importlib.import_module(f"{__name__}.{_module.name}")
    __all__ += _cells.__all__
    globals().update({name: getattr(_cells, name) for name in _cells.__all__})
__all__.sort()
