"""Complex numbers and matrices, which are two real ones everywhere except in the step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..complex_numbers import Complex, ComplexMap
from .map import MapRole
from .role import Role

__all__ = ["ComplexRole"]


@dataclass(frozen=True)
class ComplexRole(Role):
    """A complex number or matrix: two arguments of the role ``part``, its real and imaginary part.

    They are called ``<name>_re`` and ``<name>_im``; only the step sees the complex argument.
    """

    part: Role

    def parts(self, name: str) -> tuple[tuple[str, Role], ...]:
        return (f"{name}_re", self.part), (f"{name}_im", self.part)

    def whole(self, values: Iterator[Any]) -> Any:
        number = Complex(next(values), next(values))
        return ComplexMap(number) if isinstance(self.part, MapRole) else number

    @property
    def printed(self) -> Role:
        return self.part
