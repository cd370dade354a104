"""The time since the step before, for each step that a layer runs in either direction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from ..cell import check_takes_gaps
from ..checks import check_gaps, check_not_negative
from .pieces import Marks
from .sequence import Steps

__all__ = ["Gaps"]


@dataclass(frozen=True, eq=False)
class Gaps:
    """The times between the steps of a batch of sequences."""

    #: For each step the time since the one before it, ``(*, 1)``.
    steps: Steps
    #: The time before the first step backwards, ``(N, 1)``; ``None``: nobody has told it.
    first: Tensor | None

    @classmethod
    def of(
        cls,
        dt: Any,
        cells: Iterable[nn.Module],
        input: Tensor | PackedSequence,
        batch_first: bool,
        marks: Marks,
        steps: Steps,
        weight: Tensor | None,
    ) -> Gaps:
        """From what a caller gave.

        Args:
            dt: a number for each step, or for each sequence.
            cells: all of the layer's.
            input: as the caller has it.
            batch_first: how that is laid out.
            marks: what else the caller said of single steps.
            steps: those of the input.
            weight: dtype and device must agree with it.

        Raises:
            TypeError: a cell whose step does not depend on the time between steps, or no tensor.
            ValueError: a wrong shape, dtype or device, or times that are negative or not finite.
        """
        for cell in cells:
            check_takes_gaps(cell)
        if isinstance(input, PackedSequence):
            one, rows = _of_packed(dt, input, steps, weight)
        else:
            one, rows = _of_padded(dt, input, batch_first, marks, weight)
        check_not_negative(rows)
        first = None if one is None else steps.spread(one)[: steps.running].unsqueeze(-1)
        return cls(steps.with_data(rows.unsqueeze(-1)), first)

    def rows(self, cell: Any, backward: bool) -> Tensor:
        """Return the time before each step that a cell runs, laid out as its rows.

        Backwards that is the time between a step and the one after it, which has run before it.
        """
        if not backward:
            return self.steps.data.squeeze(-1)
        first = self.first
        if first is None:
            option = getattr(cell, cell.signature.gap)
            first = self.steps.data.new_full((self.steps.running, 1), option)
        return self.steps.reversed().delayed(first).squeeze(-1)


def _of_packed(
    dt: Any, input: PackedSequence, steps: Steps, weight: Tensor | None
) -> tuple[Tensor | None, Tensor]:
    """Return the number of each sequence, if that is what is given, and that of each row."""
    if not isinstance(dt, PackedSequence):
        if not isinstance(dt, Tensor):
            raise TypeError(
                "dt should be a PackedSequence, as the input is, or a Tensor, "
                f"got: {type(dt).__name__}"
            )
        check_gaps(dt, [("each sequence", (steps.batch_size,))], weight)
        return dt, steps.spread(dt)
    pairs = (
        (input.batch_sizes, dt.batch_sizes),
        (input.sorted_indices, dt.sorted_indices),
    )
    for ours, theirs in pairs:
        if ours is not theirs and (ours is None or theirs is None or not torch.equal(ours, theirs)):
            raise ValueError("dt: expected sequences of the lengths of the input's, in their order")
    check_gaps(dt.data, [("each row of the data", input.data.shape[:1])], weight)
    return None, dt.data


def _of_padded(
    dt: Any, input: Tensor, batch_first: bool, marks: Marks, weight: Tensor | None
) -> tuple[Tensor | None, Tensor]:
    """Return the same for ``(T, N)`` as ``input`` is laid out, or for ``(N,)``."""
    lead, turned = input.shape[:-1], batch_first and input.dim() == 3
    batch = lead[:0] if input.dim() == 2 else lead[:1] if turned else lead[1:]
    check_gaps(dt, [("each step", lead), ("each sequence", batch)], weight)
    one = None
    if dt.dim() < len(lead):
        one = dt.reshape(-1)
        rows = one.expand(lead[1 if turned else 0], -1)
    else:
        rows = dt.unsqueeze(1) if input.dim() == 2 else dt.T if turned else dt
    return one, marks.laid_out(input, batch_first).gaps(rows)
