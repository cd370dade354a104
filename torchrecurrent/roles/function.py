"""Arguments that are functions: nonlinearities, and what joins the units of a value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..across import ACROSS, softmax
from ..complex_numbers import Complex
from ..normalization import normalizer
from ..term import Term
from .role import Printer, Role, Source

__all__ = ["AcrossRole", "NonlinearityRole", "NormRole", "SoftmaxRole"]


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
        return normalizer(
            partial(source.across, ACROSS["average"], name), source.constant(self.epsilon)
        )

    def call(self, printer: Printer, name: str, arguments: Sequence[Term]) -> Term | None:
        return Term(rf"\mathrm{{LN}}({_listed(arguments)})")


@dataclass(frozen=True)
class AcrossRole(Role):
    """An operation across the units of a value.

    ``operation`` is ``"average"``, ``"total"`` or ``"largest"``, which has no gradient, the same
    number for all units; ``"first"``, the first unit, for all; ``"rest"``, the last units;
    ``"repeated"``, each unit several times, side by side; ``"tiled"``, all units several times
    over; ``"folded"``, the sum of parts side by side, each as wide as the result; ``"grouped"``,
    the sum of each such part, of which there are as many as the result is wide; or
    ``"cumulative"``, the sum of the units up to each. ``rows``, an attribute of the cell, is how
    many units the result has; by default as many as the value. Of a complex value it is that of
    both parts. It is printed as ``symbol``, by default its name.
    """

    operation: str
    rows: str | None = None
    symbol: str = ""

    def value(self, source: Source, name: str) -> Any:
        def apply(value: Any) -> Any:
            if isinstance(value, Complex):
                return Complex(apply(value.real), apply(value.imag))
            return source.across(ACROSS[self.operation], name, value, self.rows)

        return apply

    def call(self, printer: Printer, name: str, arguments: Sequence[Term]) -> Term | None:
        name = self.symbol or rf"\mathrm{{{self.operation}}}"
        return Term(f"{name}({_listed(arguments)})")


@dataclass(frozen=True)
class SoftmaxRole(Role):
    """Exponentials divided by their sum over the units."""

    def value(self, source: Source, name: str) -> Any:
        largest, total = (partial(source.across, ACROSS[each], name) for each in _SOFTMAX)
        return lambda value: softmax(value, largest, total)

    def call(self, printer: Printer, name: str, arguments: Sequence[Term]) -> Term | None:
        return Term(rf"\mathrm{{softmax}}({_listed(arguments)})")


_SOFTMAX = ("largest", "total")


def _listed(arguments: Sequence[Term]) -> str:
    return ", ".join(argument.text for argument in arguments)
