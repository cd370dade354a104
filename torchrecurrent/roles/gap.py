"""The time since the step before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .number import ConstantRole
from .role import Source

__all__ = ["GapRole"]


@dataclass(frozen=True)
class GapRole(ConstantRole):
    """The time since the step before: the caller's ``dt``, one number for each sequence and step.

    Where the caller gives none it is an option of the instance, as of a constant.
    """

    def meanings(self, name: str) -> dict[str, str]:
        return {name: "the time since the step before, where a call has none."}

    def value(self, source: Source, name: str) -> Any:
        return source.gap(name)
