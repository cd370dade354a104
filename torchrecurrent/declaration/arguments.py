"""The values of a step's arguments, found the same way for tensors and for symbols."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..across import Across
from ..activations import resolve_activation
from ..roles import RECURRENT, ProductRole
from ..roles.weight import Weight
from .integration import INTEGRATORS
from .noise import map_mask

if TYPE_CHECKING:
    from ..cell import BaseRecurrentCell

__all__ = ["CellSource"]


class CellSource(ABC):
    """A :class:`~torchrecurrent.roles.role.Source` for a cell with its sizes and options."""

    def __init__(self, cell: BaseRecurrentCell) -> None:
        self.cell = cell
        self.integrator = INTEGRATORS[cell.integration]
        self._made: dict[object, Any] = {}

    def arguments(self) -> list[Any]:
        """Return the values of the step's arguments, in order; a complex argument is two."""
        return [each.role.value(self, each.name) for each in self.cell.signature.arguments]

    def option(self, name: str) -> Any:
        return getattr(self.cell, name)

    def nonlinearity(self, name: str) -> Any:
        return resolve_activation(name, self.option(name))

    def product(self, name: str, role: ProductRole) -> Any:
        if name in self.cell.layout.identities:
            return self.input()
        return self.integrator.value(self, name, role)

    def mapped(
        self, name: str, weight: Weight, names: Sequence[str], value: Any, columns: str
    ) -> tuple[Any, ...]:
        width = self.option(columns)
        self.check_mapped(name, value, width)
        if self.cell.layout.block(weight, names[0]) is None:  # a width of 0 switches the map off
            return (value,) * len(names)
        if weight == RECURRENT:
            value = self.dropped(map_mask(self.cell, columns), value)
        return self.multiplied(weight, names, value, width)

    def dropped(self, name: str, value: Any) -> Any:
        """Return what a recurrent weight multiplies, dropped out if the cell does that now."""
        factor = self.factor(name)
        return value if factor is None else factor * value

    def once(self, key: object, make: Callable[[], Any]) -> Any:
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    @abstractmethod
    def state(self, name: str) -> Any: ...

    @abstractmethod
    def input(self) -> Any: ...

    @abstractmethod
    def constant(self, name: str) -> Any: ...

    @abstractmethod
    def factor(self, name: str) -> Any | None:
        """Return the factor of a mask; ``None``: there is none."""

    @abstractmethod
    def gap(self, name: str) -> Any: ...

    @abstractmethod
    def scalar(self, name: str) -> Any: ...

    @abstractmethod
    def vector(self, weight: Weight, name: str) -> Any: ...

    @abstractmethod
    def bias(self, name: str) -> Any: ...

    @abstractmethod
    def across(self, across: Across, name: str, value: Any, rows: str | None = None) -> Any: ...

    @abstractmethod
    def projection(self, name: str) -> Any: ...

    @abstractmethod
    def recurrent(self, name: str, role: ProductRole) -> Any | None: ...

    @abstractmethod
    def biased(self, value: Any, name: str, weights: Sequence[Weight]) -> Any: ...

    @abstractmethod
    def check_mapped(self, name: str, value: Any, columns: int) -> None:
        """Raise StepError unless a map can be applied to ``value``."""

    @abstractmethod
    def multiplied(
        self, weight: Weight, names: Sequence[str], value: Any, columns: int
    ) -> tuple[Any, ...]:
        """Return the products of ``value`` with adjacent blocks of a weight, with biases."""
