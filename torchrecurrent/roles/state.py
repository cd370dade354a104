"""States and the input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..term import Term, symbol
from .role import Printer, Role, Source

__all__ = ["DelayedRole", "InputRole", "OutputRole", "StateRole"]


@dataclass(frozen=True)
class StateRole(Role):
    """A state, carried from one time step to the next; ``width`` is an attribute of the cell."""

    width: str = "hidden_size"

    def value(self, source: Source, name: str) -> Any:
        return source.state(name)

    def term(self, printer: Printer, name: str) -> Term:
        return Term(symbol(name, "t-1"))


@dataclass(frozen=True)
class DelayedRole(Role):
    """The first state, as it was ``steps`` (an option of the cell) steps ago."""

    steps: str = "delay"

    def needs(self, name: str) -> dict[str, str]:
        return {self.steps: "int"}

    def value(self, source: Source, name: str) -> Any:
        return source.state(name)

    def term(self, printer: Printer, name: str) -> Term:
        return Term(symbol(printer.states[0], f"t-1-{symbol(self.steps)}"))


@dataclass(frozen=True)
class InputRole(Role):
    """The input itself, not projected."""

    def value(self, source: Source, name: str) -> Any:
        return source.input()

    def term(self, printer: Printer, name: str) -> Term:
        return Term(symbol("x", "t"))


@dataclass(frozen=True)
class OutputRole(Role):
    """Marks the first value that the step returns as an output that is not a state."""
