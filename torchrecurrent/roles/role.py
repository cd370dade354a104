"""The base of all roles: the options it needs, its rows, its value and how it is printed.

A role gets its value from a :class:`Source`. There are three sources: tensors, symbols that record
what a step does to them, and stand-ins that know only what they depend on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ..across import Across
from ..term import Term, symbol
from .weight import Weight

if TYPE_CHECKING:
    from .product import ProductRole

__all__ = ["Printer", "Role", "Sizes", "Source"]


class Sizes(Protocol):
    """A cell's sizes and options that the layout of its parameters depends on."""

    @property
    def input_size(self) -> int: ...

    def recurrent_columns(self, rows: int, width: int) -> int | None: ...


class Source(Protocol):
    """The source of the values of a step's arguments."""

    def option(self, name: str) -> Any:
        """An option or a property of the cell."""

    def state(self, name: str) -> Any:
        """A state before the step."""

    def input(self) -> Any:
        """The input of the step."""

    def constant(self, name: str) -> Any:
        """An option that is a number."""

    def gap(self, name: str) -> Any:
        """The time since the step before, ``(N, 1)``; where none is given, an option."""

    def scalar(self, name: str) -> Any:
        """A learned number."""

    def vector(self, weight: Weight, name: str) -> Any:
        """Learned numbers, one for each unit."""

    def nonlinearity(self, name: str) -> Any:
        """A function that is an option."""

    def product(self, name: str, role: ProductRole) -> Any:
        """W x + b, U s + d, or both, combined by the cell's integration."""

    def bias(self, name: str) -> Any:
        """The sum of the biases that the step calls ``name``."""

    def mapped(
        self, name: str, weight: Weight, names: Sequence[str], value: Any, columns: str
    ) -> tuple[Any, ...]:
        """The product of ``value``, whose width is ``columns``, with blocks of the map ``name``."""

    def across(self, across: Across, name: str, value: Any, rows: str | None = None) -> Any:
        """The result of an operation across the units, for the argument ``name``.

        ``rows``: the attribute of the cell that says how wide it is; ``None``: as ``value``.
        """


class Printer(Protocol):
    """The facts that a role needs to print itself."""

    @property
    def states(self) -> Sequence[str]: ...

    @property
    def diagonal(self) -> bool: ...

    def first(self, name: str) -> Term:
        """The term of an argument before the step assigns to it."""

    def product(self, name: str, role: ProductRole) -> Term:
        """The term of a product, however the cell integrates its parts."""

    def biased(self, weight: Weight) -> bool:
        """Whether products with a weight have a bias by default that the step does not add."""


@dataclass(frozen=True)
class Role:
    """Base of all roles."""

    @property
    def weights(self) -> tuple[Weight, ...]:
        """The stacked parameters that have rows for an argument of this role."""
        return ()

    def names(self, name: str) -> tuple[str, ...]:
        """The names of an argument's rows, as far as they are known without a cell."""
        return (name,)

    def blocks(self, name: str, cell: Any) -> tuple[str, ...]:
        """The names of an argument's blocks."""
        return self.names(name)

    def height(self, cell: Any) -> int:
        """The rows of each block."""
        raise NotImplementedError

    def reads(
        self, weight: Weight, cell: Sizes, widths: Mapping[str, int]
    ) -> tuple[int | None, str | None]:
        """Return the number of columns of a weight's rows, and the state that they multiply.

        Args:
            weight: one of :attr:`weights`.
            cell: the cell.
            widths: the widths of its states, by name.

        Returns:
            No columns mean one number for each unit; no state means that it is not known before
            the step runs.
        """
        return None, None

    def needs(self, name: str) -> dict[str, str]:
        """The options that an argument of this role needs, with their types."""
        return {}

    def constants(self, name: str) -> tuple[str, ...]:
        """Return the names of those options that are numbers passed to a kernel at every call."""
        return ()

    def meanings(self, name: str) -> dict[str, str]:
        """The descriptions of an argument's options."""
        return {}

    def value(self, source: Source, name: str) -> Any:
        """The value passed to the step."""
        raise NotImplementedError

    def parts(self, name: str) -> tuple[tuple[str, Role], ...]:
        """The real arguments that an argument of the step consists of."""
        return ((name, self),)

    def whole(self, values: Iterator[Any]) -> Any:
        """The value of an argument of the step, from those of its parts."""
        return next(values)

    @property
    def printed(self) -> Role:
        """The role that prints the argument."""
        return self

    def term(self, printer: Printer, name: str) -> Term:
        """The term of an argument before the step assigns to it."""
        return Term(symbol(name))

    def call(self, printer: Printer, name: str, arguments: Sequence[Term]) -> Term | None:
        """A call of an argument called ``name``; ``None`` if it can't be called."""
        return None
