"""What a call gives a step besides its input and its states: the plan depends on it."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["MASKED", "NOTHING", "RESETS", "Given"]

#: The names of flags, bytes that are 1 where they hold, ``(T, N, 1)`` or a row for each step. They
#: go where the masks go that a cell draws.
RESETS, MASKED = "resets", "masked"


class Given(NamedTuple):
    """What is given for each step of each sequence."""

    #: The time since the step before, in the data's last column.
    gaps: bool = False
    #: Whether the sequence begins anew before it.
    resets: bool = False
    #: Whether it is masked, so that it changes nothing.
    masks: bool = False

    @property
    def flags(self) -> tuple[str, ...]:
        """The names of the flags among them."""
        return (RESETS,) * self.resets + (MASKED,) * self.masks


NOTHING = Given()
