"""Sequences that begin anew at some steps, or skip some, where whatever runs a cell sees to it.

The alternative, for all cells and states, is to cut them into :class:`~.pieces.Pieces`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from .sequence import Steps

__all__ = ["Marked", "carried"]


@dataclass(frozen=True)
class Marked(Steps):
    """The steps of sequences with flags, which are laid out as the rows of the data."""

    #: Whether the states are zeros before a step, in this direction and, once that has been asked
    #: for, in the other.
    resets: tuple[Tensor | None, Tensor | None] = (None, None)
    #: Whether a step changes nothing.
    masked: Tensor | None = None
    #: The steps of ``(T, N)`` before which a sequence has none that counts: their output is zero;
    #: forward and backward, ``None`` if there are none. Then the sequences without any.
    dark: tuple[Tensor, Tensor] | None = None
    never: Tensor | None = None
    backward: bool = False

    @classmethod
    def of(
        cls,
        input: Tensor,
        lengths: Tensor | None,
        mask: Tensor | None,
        resets: Tensor | None,
        zeros: bool,
    ) -> Marked:
        """From ``(T, N, I)``.

        Args:
            input: padded.
            lengths: N numbers of steps; left out, all are valid.
            mask: ``(T, N)``, true where a step counts; left out, all do.
            resets: ``(T, N)``, true where a sequence begins anew before the step.
            zeros: whether all sequences begin with zeros. Then so is their output before the first
                step that counts, since it is a state.
        """

        def rows(flags: Tensor) -> Tensor:
            return Steps.of_padded(flags.unsqueeze(-1), lengths).data.squeeze(-1)

        begun = None if resets is None else rows(resets)
        if mask is None:
            return cls(**vars(Steps.of_padded(input, lengths)), resets=(begun, None))
        if not _is_ordinary(input.detach(), mask):
            input = input.masked_fill(~mask.unsqueeze(-1), 0.0)
        steps = Steps.of_padded(input, lengths)
        masked = rows(~mask)
        if zeros:
            return cls(**vars(steps), resets=(begun, None), masked=masked)
        time, valid = torch.arange(len(mask), device=mask.device).unsqueeze(1), mask
        if lengths is not None:
            valid = mask & (time < lengths.to(mask.device))
        before, after = carried(valid, time)
        dark, never = (before < 0, after >= len(mask)), before[-1] < 0
        shows = not (dark[0].any() or dark[1].any())
        return cls(
            **vars(steps),
            resets=(begun, None),
            masked=masked,
            dark=None if shows else dark,
            never=None if shows else never,
        )

    @property
    def flags(self) -> Mapping[str, Tensor]:
        found = {"resets": self.resets[0], "masked": self.masked}
        return {name: rows for name, rows in found.items() if rows is not None}

    def _backwards(self, rows: Tensor) -> Steps:
        return Steps(rows.unsqueeze(-1), self.sizes).reversed()

    def reversed(self) -> Steps:
        begun, other = self.resets
        if begun is not None and other is None:  # backwards it begins anew at the step before
            steps = self._backwards(begun)
            first = steps.data[0] if self.sizes is None else steps.data[: self.running]
            other = steps.delayed(torch.zeros_like(first)).squeeze(-1)
        masked = None if self.masked is None else self._backwards(self.masked).data.squeeze(-1)
        found = super().reversed()
        assert isinstance(found, Marked)
        return replace(found, resets=(other, begun), masked=masked, backward=not self.backward)

    def end(self, rows: Tensor) -> Tensor:
        """Put states at the end of each sequence into the caller's order.

        Backwards they are zeros where a sequence begins anew before its first step.
        """
        _, ahead = self.resets
        if self.backward and ahead is not None:
            anew = (ahead[0] if self.sizes is None else ahead)[: self.running]
            if anew.any():
                anew = functional.pad(anew, (0, self.empty))
                rows = rows.masked_fill(anew.unsqueeze(-1), 0.0)
        return super().end(rows)

    def last(self) -> Tensor:
        found = super().last()
        return found if self.never is None else found.masked_fill(self.never.unsqueeze(-1), 0.0)

    def padded(self, data: Tensor, total_length: int, backward: bool = False) -> Tensor:
        found = super().padded(data, total_length, backward)
        if self.dark is None:
            return found
        return found.masked_fill(self.dark[backward].unsqueeze(-1), 0.0)


def _is_ordinary(input: Tensor, mask: Tensor) -> bool:
    """Whether masked steps read numbers at most twice as large as others.

    A kernel computes with them, and what it does not use could still overflow and come back, times
    zero, in the gradients. To make them all zeros is to copy the input, and its gradient too.
    """
    if not input.size(-1):
        return True
    largest = torch.maximum(input.amax(-1), -input.amin(-1))  # NaN, if there is one
    others = torch.where(mask, largest, 0.0).max()
    return bool(torch.where(mask, 0.0, largest).max() <= 2 * others)


def carried(valid: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
    """Return, for each step, the last valid one up to it, or -1, and the first from it on, or T.

    Args:
        valid: ``(T, N)``, whether a step counts.
        time: ``(T, 1)``, the numbers of the steps.
    """
    T = len(valid)
    before = torch.where(valid, time, -1).cummax(0).values
    after = torch.where(valid, time, T).flip(0).cummin(0).values.flip(0)
    return before, after
