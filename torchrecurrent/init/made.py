"""Initialisers with numeric parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

__all__ = ["Made"]


@dataclass(frozen=True)
class Made:
    """An initialiser with its parameters, which compares by them and prints as its call."""

    made_by: str
    fill: Callable[..., Tensor]
    numbers: tuple[Any, ...]

    @property
    def __name__(self) -> str:
        shown = (f"{n:g}" if isinstance(n, float) else repr(n) for n in self.numbers)
        return f"{self.made_by}({', '.join(shown)})"

    def __repr__(self) -> str:
        return self.__name__

    def __call__(self, tensor: Tensor) -> Tensor:
        return self.fill(tensor, *self.numbers)
