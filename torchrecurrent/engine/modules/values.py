"""The values of a module's step: where each of their numbers comes from.

Chunks, views, concatenations and the like only move numbers. So each value is a tensor of *places*,
one for each of its numbers, and what moves numbers is carried out on places, by torch itself.
What computes something makes a new source, whose units are numbered from its first place on.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from ...across import Across
from ..ir.trace import UntraceableError

__all__ = [
    "Applied", "Constant", "Given", "Joined", "Own", "Product", "Single", "Source", "Sources",
    "Value", "is_own", "nodes_of", "places_of", "values_of",
]  # fmt: skip

#: The places of one sequence of a batch are so far from those of the next.
_SEQUENCE = 1 << 40


@dataclass(frozen=True, eq=False)
class Given:
    """The input, or a state before the step."""

    name: str
    width: int


@dataclass(frozen=True, eq=False)
class Own:
    """Numbers computed from the module's parameters alone, in a tensor of so many dimensions."""

    node: Node
    width: int
    dims: int


@dataclass(frozen=True, eq=False)
class Constant:
    """A number that is written in the module's code."""

    number: float
    width: int = 1


@dataclass(frozen=True, eq=False)
class Applied:
    """An elementwise operation; arguments are the places of their units, or numbers."""

    name: str
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    width: int


@dataclass(frozen=True, eq=False)
class Product:
    """A value times a matrix of the module: its columns are the units."""

    argument: Tensor
    matrix: Node
    width: int


@dataclass(frozen=True, eq=False)
class Single:
    """One number of all units of a value: their mean, sum or maximum."""

    across: Across
    argument: Tensor
    width: int = 1


@dataclass(frozen=True, eq=False)
class Joined:
    """Several numbers of all units of a value: sums of those up to each, or of parts of it."""

    across: Across
    argument: Tensor
    width: int


Source = Given | Own | Constant | Applied | Product | Single | Joined


@dataclass(frozen=True, eq=False)
class Value:
    """Some numbers: their places, and their node if they come from the module's tensors alone."""

    places: Tensor
    own: Node | None = None


class Sources:
    """All sources, and the places of their units."""

    def __init__(self, batch: int) -> None:
        self.batch = batch
        self._sources: list[Source] = []
        self._first: list[int] = []
        self._next = 0

    def add(self, source: Source) -> Tensor:
        """Return the places of a source's units."""
        start, self._next = self._next, self._next + source.width
        self._sources.append(source)
        self._first.append(start)
        return torch.arange(start, self._next)

    def batched(self, source: Source, shape: torch.Size) -> Value:
        """Return the value of a source that is another one for each sequence."""
        units = self.add(source).view(1, *shape[1:])
        sequences = torch.arange(self.batch).view(-1, *(1,) * (len(shape) - 1))
        return Value((units + _SEQUENCE * sequences).expand(shape))

    def units(self, places: Tensor, what: str) -> Tensor:
        """Return the places of one sequence's numbers, in one row.

        Raises:
            UntraceableError: the first dimension is not that of the batch.
        """
        if places.dim() and places.size(0) == self.batch:
            row = places[0]
            apart = places - row
            count = torch.arange(self.batch).view(-1, *(1,) * (places.dim() - 1))
            dynamic = row.new_tensor(_SEQUENCE) * count
            if bool(((apart == dynamic) | (apart == 0)).all()) and bool((row < _SEQUENCE).all()):
                return row.flatten()
        raise UntraceableError(
            f"{what!r} combines the sequences of a batch, or its first dimension is not the batch"
        )

    def runs(self, units: Tensor) -> list[tuple[Source, Tensor]]:
        """Return the sources of some units, one after the other, and which of theirs they are."""
        found: list[tuple[Source, list[int]]] = []
        for place in units.tolist():
            k = bisect_right(self._first, place) - 1
            source, unit = self._sources[k], place - self._first[k]
            if found and found[-1][0] is source:
                found[-1][1].append(unit)
            else:
                found.append((source, [unit]))
        return [(source, torch.tensor(unit)) for source, unit in found]


def values_of(tree: Any) -> list[Value]:
    """Return the values among an operation's arguments."""
    if isinstance(tree, Value):
        return [tree]
    if isinstance(tree, dict):
        return values_of(list(tree.values()))
    return (
        [each for part in tree for each in values_of(part)]
        if isinstance(tree, list | tuple)
        else []
    )


def is_own(tree: Any) -> bool:
    """Whether all that an operation reads comes from the module's tensors."""
    found = values_of(tree)
    return bool(found) and all(each.own is not None for each in found)


def _mapped(tree: Any, change: Any) -> Any:
    if isinstance(tree, Value):
        return change(tree)
    if isinstance(tree, dict):
        return {key: _mapped(each, change) for key, each in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(_mapped(each, change) for each in tree)
    return tree


def nodes_of(tree: Any) -> Any:
    """Return an operation's arguments with the node of each value in its place."""
    return _mapped(tree, lambda value: value.own)


def places_of(tree: Any) -> Any:
    """Return an operation's arguments with the places of each value in its place."""
    return _mapped(tree, lambda value: value.places)
