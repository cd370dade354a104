"""Affine maps that a step itself applies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor

from ..term import Term, symbol
from .role import Printer, Role, Sizes, Source
from .weight import RECURRENT, Weight

__all__ = ["Function", "Functions", "MapRole", "MapsRole", "Parts"]

#: The type of a map or a nonlinearity in a step.
Function = Callable[[Tensor], Tensor]


class Parts:
    """The results of one map, which can be added to those of another and unpacked."""

    def __init__(self, *values: Tensor) -> None:
        self.values = values

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.values)

    def __add__(self, other: Parts) -> Parts:
        if not isinstance(other, Parts):
            return NotImplemented
        return Parts(*(a + b for a, b in zip(self.values, other.values, strict=True)))


#: The type of a map with several results in a step.
Functions = Callable[[Tensor], Parts]


class _Mapping(Role):
    """The common base of a single map and the maps of several layers."""

    weight: Weight
    rows: str
    columns: str
    always_dense: bool

    @property
    def weights(self) -> tuple[Weight, ...]:
        return (self.weight,)

    def height(self, cell: Any) -> int:
        return cast("int", getattr(cell, self.rows))

    def reads(
        self, weight: Weight, cell: Sizes, widths: Mapping[str, int]
    ) -> tuple[int | None, str | None]:
        rows, columns = self.height(cell), getattr(cell, self.columns)
        if rows and not self.always_dense:
            columns = cell.recurrent_columns(rows, columns)
        return columns, None

    def call(self, printer: Printer, name: str, arguments: Sequence[Term]) -> Term | None:
        letter = symbol(name)
        times = r" \odot" if printer.diagonal and not self.always_dense else ""
        bias = f" + d_{{{letter}}}" if printer.biased(self.weight) else ""
        return Term(f"{letter}{times} {arguments[0]:3}{bias}", 1 if bias else 2)


@dataclass(frozen=True)
class MapRole(_Mapping):
    """An affine map that the step applies itself; ``rows``, ``columns``: attributes of the cell.

    If ``rows`` is 0 the map is the identity and has no parameter. A map that is not
    part of the recurrence is ``always_dense``, whatever the cell's ``recurrence`` is.
    ``results`` names the results of a map that has several, each of ``rows`` units; they are
    :class:`Parts`. Block ``W_f`` of an argument ``W`` makes the result ``f``.
    """

    weight: Weight = RECURRENT
    rows: str = "hidden_size"
    columns: str = "hidden_size"
    always_dense: bool = False
    results: tuple[str, ...] = ()

    def names(self, name: str) -> tuple[str, ...]:
        return tuple(f"{name}_{result}" for result in self.results) or (name,)

    def value(self, source: Source, name: str) -> Any:
        names = self.names(name)

        def apply(value: Any) -> Any:
            found = source.mapped(name, self.weight, names, value, self.columns)
            return Parts(*found) if self.results else found[0]

        return apply


@dataclass(frozen=True)
class MapsRole(_Mapping):
    """A tuple of affine maps, one for each layer of a step that is itself a network.

    The layers are numbered from 0 to ``layers`` - 1, where ``layers`` is an option of the
    cell or a property of it; those before ``first`` have no map. Block ``R2`` of an argument
    ``R`` is layer 2's. ``rows``, ``columns`` and ``always_dense`` are those of a single map.
    """

    weight: Weight
    layers: str = "depth"
    first: int = 0
    rows: str = "hidden_size"
    columns: str = "hidden_size"
    always_dense: bool = False

    def blocks(self, name: str, cell: Any) -> tuple[str, ...]:
        return self._numbered(name, getattr(cell, self.layers))

    def _numbered(self, name: str, layers: int) -> tuple[str, ...]:
        return tuple(f"{name}{layer}" for layer in range(self.first, layers))

    def needs(self, name: str) -> dict[str, str]:
        return {self.layers: "int"}

    def value(self, source: Source, name: str) -> Any:
        def function(block: str) -> Callable[[Any], Any]:
            return lambda value: source.mapped(block, self.weight, (block,), value, self.columns)[0]

        return tuple(map(function, self._numbered(name, source.option(self.layers))))
