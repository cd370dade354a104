"""Learned numbers, and numbers that are options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from ..term import Term, symbol
from .role import Printer, Role, Source
from .weight import Weight

__all__ = ["ConstantRole", "ScalarRole", "VectorRole"]


@dataclass(frozen=True)
class VectorRole(Role):
    """A learned number for each of ``rows`` units; ``rows`` is an attribute of the cell."""

    weight: Weight
    rows: str = "hidden_size"

    @property
    def weights(self) -> tuple[Weight, ...]:
        return (self.weight,)

    def height(self, cell: Any) -> int:
        return cast("int", getattr(cell, self.rows))

    def value(self, source: Source, name: str) -> Any:
        return source.vector(self.weight, name)


@dataclass(frozen=True)
class ScalarRole(Role):
    """One learned number; option ``<name>_init`` gives its first value."""

    def needs(self, name: str) -> dict[str, str]:
        return {f"{name}_init": "float"}

    def meanings(self, name: str) -> dict[str, str]:
        return {f"{name}_init": f"first value of {name}."}

    def value(self, source: Source, name: str) -> Any:
        return source.scalar(name)

    def term(self, printer: Printer, name: str) -> Term:
        return Term(symbol(name), scalar=True)


@dataclass(frozen=True)
class ConstantRole(Role):
    """An option of the instance, or a property of it, under the argument's own name."""

    def needs(self, name: str) -> dict[str, str]:
        return {name: "float"}

    def constants(self, name: str) -> tuple[str, ...]:
        return (name,)

    def value(self, source: Source, name: str) -> Any:
        return source.constant(name)

    def term(self, printer: Printer, name: str) -> Term:
        return Term(symbol(name), scalar=True)
