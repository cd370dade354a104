"""How often a loop of a step runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .role import Role, Source

__all__ = ["TimesRole"]


@dataclass(frozen=True)
class TimesRole(Role):
    """The numbers from 0 to one less than ``times``, an option of the cell, for a loop of the step.

    The loop is unrolled in a kernel, which is another one for each number of times.
    """

    times: str

    def needs(self, name: str) -> dict[str, str]:
        return {self.times: "int"}

    def value(self, source: Source, name: str) -> Any:
        return range(source.option(self.times))
