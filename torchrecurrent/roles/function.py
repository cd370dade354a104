"""Arguments that are functions: nonlinearities and layer normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..normalization import normalizer
from ..term import Term
from .role import Printer, Role, Source

__all__ = ["NonlinearityRole", "NormRole"]


@dataclass(frozen=True)
class NonlinearityRole(Role):
    """An elementwise function that is an option of the instance, printed as ``symbol``."""

    symbol: str = r"\phi"

    def needs(self, name: str) -> dict[str, str]:
        return {name: "Activation"}

    def meanings(self, name: str) -> dict[str, str]:
        return {name: f":math:`{self.symbol}`."}

    def value(self, source: Source, name: str) -> Any:
        return source.nonlinearity(name)

    def term(self, printer: Printer, name: str) -> Term:
        return Term(self.symbol)

    def call(self, printer: Printer, name: str, arguments: Sequence[Term]) -> Term | None:
        return Term(f"{self.symbol}({_listed(arguments)})")


@dataclass(frozen=True)
class NormRole(Role):
    """Layer normalisation of some values together; ``epsilon`` is an option of the cell."""

    epsilon: str = "layer_norm_eps"

    def needs(self, name: str) -> dict[str, str]:
        return {self.epsilon: "float"}

    def constants(self, name: str) -> tuple[str, ...]:
        return (self.epsilon,)

    def value(self, source: Source, name: str) -> Any:
        return normalizer(partial(source.average, name), source.constant(self.epsilon))

    def call(self, printer: Printer, name: str, arguments: Sequence[Term]) -> Term | None:
        return Term(rf"\mathrm{{LN}}({_listed(arguments)})")


def _listed(arguments: Sequence[Term]) -> str:
    return ", ".join(argument.text for argument in arguments)
