"""What a role answers: what it needs, where its rows lie, its value, how it is printed.

A role asks for its value a :class:`Source`. There are three of them: tensors, symbols that write
down what a step does to them, and stand-ins that know only what they depend on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ..term import Term, symbol
from .weight import Weight

if TYPE_CHECKING:
    from .product import ProductRole

__all__ = ["Printer", "Role", "Sizes", "Source"]


class Sizes(Protocol):
    """What the layout of the parameters depends on: a cell with its options."""

    @property
    def input_size(self) -> int: ...

    def recurrent_columns(self, rows: int, width: int) -> int | None: ...


class Source(Protocol):
    """What the values of a step's arguments are made of."""

    def option(self, name: str) -> Any:
        """An option of the cell, or a property of it."""

    def state(self, name: str) -> Any:
        """A state as it was before the step."""

    def input(self) -> Any:
        """The input of the step."""

    def constant(self, name: str) -> Any:
        """An option that is a number."""

    def scalar(self, name: str) -> Any:
        """A learned number."""

    def vector(self, weight: Weight, name: str) -> Any:
        """Learned numbers, one for each unit."""

    def nonlinearity(self, name: str) -> Any:
        """A function that is an option."""

    def product(self, name: str, role: ProductRole) -> Any:
        """W x + b, U s + d, or what the cell's integration makes of both."""

    def bias(self, name: str) -> Any:
        """The sum of the biases that the step calls ``name``."""

    def mapped(
        self, weight: Weight, names: Sequence[str], value: Any, columns: str
    ) -> tuple[Any, ...]:
        """The product of ``value``, which is as wide as ``columns`` says, with some blocks."""

    def average(self, name: str, value: Any) -> Any:
        """The mean over the units, for each of them the same number; ``name`` asks for it."""


class Printer(Protocol):
    """What a role needs to know to print itself."""

    @property
    def states(self) -> Sequence[str]: ...

    @property
    def diagonal(self) -> bool: ...

    def first(self, name: str) -> Term:
        """An argument as it is before the step assigns to it."""

    def product(self, name: str, role: ProductRole) -> Term:
        """What a product is, however the cell integrates its parts."""

    def biased(self, weight: Weight) -> bool:
        """Whether products with a weight have a bias, by default and not added by the step."""


@dataclass(frozen=True)
class Role:
    """Base of all roles."""

    @property
    def weights(self) -> tuple[Weight, ...]:
        """The stacked parameters that an argument of this role draws on."""
        return ()

    def names(self, name: str) -> tuple[str, ...]:
        """What the rows of an argument are called, where that is known without a cell."""
        return (name,)

    def blocks(self, name: str, cell: Any) -> tuple[str, ...]:
        """What the blocks of an argument are called."""
        return self.names(name)

    def height(self, cell: Any) -> int:
        """The rows of each block."""
        raise NotImplementedError

    def reads(
        self, weight: Weight, cell: Sizes, widths: Mapping[str, int]
    ) -> tuple[int | None, str | None]:
        """How many columns the rows of a weight have, and the state that they multiply.

        Args:
            weight: one of :attr:`weights`.
            cell: the cell.
            widths: of its states, by name.

        Returns:
            No columns: one number for each unit; no state: it is not known before the step runs.
        """
        return None, None

    def needs(self, name: str) -> dict[str, str]:
        """The options that an argument of this role needs, and of which type."""
        return {}

    def constants(self, name: str) -> tuple[str, ...]:
        """Those of them that are numbers which a kernel is given at every call."""
        return ()

    def meanings(self, name: str) -> dict[str, str]:
        """What the role has to say about the options of an argument."""
        return {}

    def value(self, source: Source, name: str) -> Any:
        """What the step is given."""
        raise NotImplementedError

    def parts(self, name: str) -> tuple[tuple[str, Role], ...]:
        """The arguments that one of the step stands for."""
        return ((name, self),)

    def whole(self, values: Iterator[Any]) -> Any:
        """The value of an argument of the step, from those of its parts."""
        return next(values)

    @property
    def printed(self) -> Role:
        """The role as which it is printed."""
        return self

    def term(self, printer: Printer, name: str) -> Term:
        """What an argument is before the step assigns to it."""
        return Term(symbol(name))

    def call(self, printer: Printer, name: str, arguments: Sequence[Term]) -> Term | None:
        """A call of an argument called ``name``; ``None`` if it can't be called."""
        return None
