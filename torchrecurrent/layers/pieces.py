"""Sequences that are cut at resets and skip masked steps, as a batch of their pieces.

A sequence that begins anew at some step computes nothing that it would not if it were cut there. So
the pieces become a ragged batch, whose rows all cells of a stack work on as on any other, by the
kernel where there is one; what they make is laid out afterwards as the input was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..checks import check_flags
from ..engine import exporting_to_onnx
from .marked import Marked, carried
from .sequence import Steps, checked_lengths

__all__ = ["Marks", "Pieces"]


@dataclass(frozen=True)
class _Cut:
    """Where the steps of T x N are in the rows of the pieces, and where each sequence begins."""

    shape: tuple[int, int]
    #: The row of each step, and of a masked one that of the step before it; after it, backwards.
    rows: tuple[Tensor, Tensor]
    #: The steps that have no such row, where there may be any: their output is zero.
    none: tuple[Tensor, Tensor] | None
    #: The piece, in the order of rows, with which a sequence begins; ends, backwards.
    entry: tuple[Tensor, Tensor]
    #: The sequence of each piece, in the order of rows.
    sequence: Tensor
    #: The sequence that begins with a piece; N if none does.
    owner: tuple[Tensor, Tensor]
    #: The sequences in which no step counts.
    never: Tensor


@dataclass(frozen=True)
class Pieces(Steps):
    """The steps of the pieces; a sequence of :class:`Steps` is a piece."""

    cut: _Cut | None = None
    backward: bool = False

    @classmethod
    def of(
        cls,
        input: Tensor,
        lengths: Tensor | None,
        mask: Tensor | None,
        resets: Tensor | None,
    ) -> Pieces:
        """From ``(T, N, I)``.

        Args:
            input: padded.
            lengths: N numbers of steps; left out, all are valid.
            mask: ``(T, N)``, true where a step counts; left out, all do.
            resets: ``(T, N)``, true where a sequence begins anew before the step.
        """
        T, N, device = input.size(0), input.size(1), input.device
        time = torch.arange(T, device=device).unsqueeze(1)
        within = torch.ones(T, N, dtype=torch.bool, device=device)
        if lengths is not None:
            within = time < lengths.to(device)
        valid = within if mask is None else within & mask
        begun = torch.zeros(T, N, dtype=torch.int64, device=device)
        if resets is not None:
            begun = (resets & within).cumsum(0)
        count = begun[-1] + 1
        start = count.cumsum(0) - count
        # Sequence by sequence, and each in time, so that the steps of a piece are neighbours.
        chosen = valid.T.flatten()
        piece = (start + begun).T.flatten()[chosen]
        step = (time * N + torch.arange(N, device=device)).T.flatten()[chosen]
        steps_of = torch.bincount(piece, minlength=int(count.sum()))
        order = torch.argsort(steps_of, descending=True, stable=True)
        rank = torch.argsort(order)
        sizes = len(steps_of) - torch.bincount(steps_of).cumsum(0)[:-1]
        offsets = sizes.cumsum(0) - sizes
        place = torch.arange(len(piece), device=device) - (steps_of.cumsum(0) - steps_of)[piece]
        row = offsets[place] + rank[piece]
        source = torch.empty_like(row)
        source[row] = step
        rows = torch.zeros(T * N, dtype=torch.int64, device=device)
        rows[step] = row
        rows = rows.view(T, N)
        before, after = carried(valid, time)
        shown = rows.gather(0, before.clamp(min=0)), rows.gather(0, after.clamp(max=T - 1))
        none = None
        if mask is not None or lengths is not None:
            none = (before < 0) | ~within, (after >= T) | ~within
        first, last = rank[start], rank[start + count - 1]
        sequences = torch.arange(N, device=device)
        owners = torch.full((2, len(rank)), N, device=device)
        owners[0, first] = owners[1, last] = sequences
        of_piece = torch.repeat_interleave(sequences, count)[order]
        ends, never = (owners[0], owners[1]), before[-1] < 0
        cut = _Cut((T, N), shown, none, (first, last), of_piece, ends, never)
        empty = int((steps_of == 0).sum())
        data = input.flatten(0, 1).index_select(0, source)
        return cls(data, sizes.cpu(), order, rank, empty, cut=cut)

    def reversed(self) -> Steps:
        other = super().reversed()
        assert isinstance(other, Pieces)
        return replace(other, backward=not self.backward)

    @property
    def anew(self) -> bool:
        """Whether a sequence begins anew somewhere."""
        return self.batch_size > self.sequences

    @property
    def sequences(self) -> int:
        return self._cut.shape[1]

    @property
    def _cut(self) -> _Cut:
        assert self.cut is not None
        return self.cut

    def begin(self, rows: Tensor, initial: Tensor | None) -> Tensor:
        assert initial is not None
        return torch.cat([rows, initial.to(rows.dtype)])[self._cut.owner[self.backward]]

    def spread(self, rows: Tensor) -> Tensor:
        assert self.sizes is not None
        return rows[self._cut.sequence][self._rows(self.sizes)[1]]

    def end(self, rows: Tensor) -> Tensor:
        return rows[self._cut.entry[not self.backward]]

    def last(self) -> Tensor:
        if self.backward:  # the rows are those of steps that go forward
            rows, row = self.reversed().data, self._cut.rows[1][0]
        else:
            rows, row = self.data, self._cut.rows[0][-1]
        if not len(rows):
            return rows.new_zeros(len(row), rows.size(-1))
        return rows.index_select(0, row).masked_fill(self._cut.never.unsqueeze(-1), 0.0)

    def padded(self, data: Tensor, total_length: int, backward: bool = False) -> Tensor:
        cut = self._cut
        if not len(data):
            return data.new_zeros((*cut.shape, data.size(-1)))
        rows = cut.rows[backward]  # a masked step has the output before it
        # The gradient of indexing takes eight times as long.
        output = data.index_select(0, rows.flatten()).view(*rows.shape, data.size(-1))
        if cut.none is None:
            return output
        return output.masked_fill(cut.none[backward].unsqueeze(-1), 0.0)


def _since_last(
    gaps: Tensor, lengths: Tensor | Sequence[int] | None, mask: Tensor, resets: Tensor | None
) -> Tensor:
    """Add the times of masked steps to that of the next step of their piece that counts."""
    T, time = len(gaps), torch.arange(len(gaps), device=gaps.device).unsqueeze(1)
    valid = mask
    if lengths is not None:
        valid = mask & (time < torch.as_tensor(lengths, device=gaps.device))
    _, after = carried(valid, time)
    target = after
    if resets is not None:
        piece = resets.cumsum(0)
        target = torch.where(piece.gather(0, after.clamp(max=T - 1)) == piece, after, T)
    return gaps.new_zeros(T + 1, gaps.size(1)).scatter_add(0, target, gaps)[:-1]


@dataclass(frozen=True, eq=False)
class Marks:
    """The arguments of a call that say something of single steps."""

    lengths: Tensor | Sequence[int] | None = None
    mask: Tensor | None = None
    resets: Tensor | None = None
    #: Whether whatever runs a cell sees to the marks. If not, the sequences are cut at resets, and
    #: masked steps are left out.
    within: bool = False
    #: Whether sequences begin with zeros, as they do where nobody says otherwise.
    zeros: bool = False

    @property
    def any(self) -> bool:
        return not (self.lengths is None and self.mask is None and self.resets is None)

    @property
    def only_lengths(self) -> bool:
        return self.mask is None and self.resets is None

    def refuse_packed(self) -> None:
        """Raise ValueError if there are any, as the steps are those of a PackedSequence."""
        if self.lengths is not None:
            raise ValueError("lengths: a PackedSequence has its own, expected None")
        for name, value in (("mask", self.mask), ("resets", self.resets)):
            if value is not None:
                raise ValueError(
                    f"{name}: expected None with a PackedSequence; pass padded input with lengths"
                )

    def laid_out(self, input: Tensor, batch_first: bool) -> Marks:
        """The same, ``(T, N)`` each, checked.

        Args:
            input: as the caller has it.
            batch_first: how that is laid out.
        """
        mask, resets = (
            None if value is None else check_flags(name, value, input.shape[:-1], input.device)
            for name, value in (("mask", self.mask), ("resets", self.resets))
        )

        def turned(value: Tensor | None) -> Tensor | None:
            if value is None or input.dim() == 2:
                return value if value is None else value.unsqueeze(1)
            return value.T if batch_first else value

        return replace(self, mask=turned(mask), resets=turned(resets))

    def gaps(self, gaps: Tensor) -> Tensor:
        """Lay out the times since the step before, ``(T, N)``, as the rows of :meth:`steps`.

        Time passes in masked steps too: what follows them has all that has passed since the last
        step that ran, in its piece.
        """
        if self.any and not exporting_to_onnx():
            if self.mask is not None:
                gaps = _since_last(gaps, self.lengths, self.mask, self.resets)
            return self.steps(gaps.unsqueeze(-1)).data.squeeze(-1)
        return gaps

    def steps(self, input: Tensor) -> Steps:
        """The steps of ``input``, ``(T, N, I)``."""
        if self.mask is None and self.resets is None:
            return Steps.of_padded(input, self.lengths)
        lengths = self.lengths
        if lengths is not None:
            lengths = checked_lengths(lengths, input.size(0), input.size(1))
        # A kernel computes masked steps too; to leave them out takes as long as half of the steps
        # of a fast cell.
        mask = self.mask
        if self.within and (mask is None or 2 * int(mask.count_nonzero()) >= mask.numel()):
            return Marked.of(input, lengths, self.mask, self.resets, self.zeros)
        return Pieces.of(input, lengths, self.mask, self.resets)
