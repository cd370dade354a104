"""Pickles objects of a class that can't be imported."""

from __future__ import annotations

import io
import pickle
from types import FunctionType
from typing import Any

__all__ = ["pickled"]


def pickled(value: Any) -> Any:
    """Return a copy made by pickle.

    pickle finds a class by its name, which fails for a class defined within a function. That
    class and others defined beside it are then left out; everything else is pickled.
    """
    kind = type(value)
    try:
        pickle.dumps(kind)
    except (pickle.PicklingError, AttributeError):
        file = io.BytesIO()
        pickler = _Pickler(file, kind)
        pickler.dump(value)
        file.seek(0)
        return _Unpickler(file, pickler.left_out).load()
    return pickle.loads(pickle.dumps(value))


class _Pickler(pickle.Pickler):
    """Leaves out the classes and functions of the scope that a class was defined in."""

    def __init__(self, file: io.BytesIO, kind: type) -> None:
        super().__init__(file)
        self.scope = _scope(kind)
        self.left_out: list[object] = []

    def persistent_id(self, obj: object) -> int | None:
        if not isinstance(obj, type | FunctionType) or _scope(obj) != self.scope:
            return None
        self.left_out.append(obj)
        return len(self.left_out) - 1


class _Unpickler(pickle.Unpickler):
    """Puts back the objects that were left out."""

    def __init__(self, file: io.BytesIO, left_out: list[object]) -> None:
        super().__init__(file)
        self.left_out = left_out

    def persistent_load(self, pid: Any) -> object:
        return self.left_out[pid]


def _scope(value: type | FunctionType) -> tuple[str, str]:
    return value.__module__, value.__qualname__.rpartition(".")[0]
