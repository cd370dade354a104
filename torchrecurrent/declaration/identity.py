"""Gives each cell a number, by which a tracer can refer to it."""

from __future__ import annotations

import itertools
from typing import Any
from weakref import WeakValueDictionary

from torch import nn

__all__ = ["Numbered", "numbered"]

_count = itertools.count()
_modules: WeakValueDictionary[int, nn.Module] = WeakValueDictionary()


class Numbered(nn.Module):
    """A module with a number that is unique in this process; a copy gets another."""

    def __init__(self) -> None:
        super().__init__()
        self._take_number()

    def __setstate__(self, state: Any) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._take_number()

    def _take_number(self) -> None:
        self._number = next(_count)
        _modules[self._number] = self


def numbered(number: int) -> nn.Module:
    """Return the module with a number."""
    return _modules[number]
