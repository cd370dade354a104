"""How threads share a sequence: each takes some sequences of the batch, or some units of all.

Threads that share the batch never wait for each other before the end, but each reads all weights at
each step, and multiplies them with few rows. Threads that share the units each read their own part
of the weights, and then have to meet within each step, because a product needs the states of all.
With few sequences the second is faster; with more that depends on the processor's caches, and is
tried. What is computed is the same, bit by bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..program.batch import Batch
from ..program.buffers import Before, Buffer, View
from ..program.lower import Multiply, Operation, Program, Segment
from .threads import together

__all__ = [
    "FEW_ROWS",
    "WORTH_A_THREAD",
    "Sharing",
    "Sharings",
    "Trial",
    "can_share_units",
    "meetings",
    "slice_bounds",
]

#: Below this many numbers a second thread costs more than it saves.
WORTH_A_THREAD = 1 << 14
#: Up to this many rows, multiplying with an unpacked weight is faster than packing it first.
FEW_ROWS = 4
#: With fewer sequences for each thread they share the units; more, if weights are large: of so many
#: numbers, which all threads would have to read at each step.
_ENOUGH_ROWS, _ROWS_OF_LARGE, _LARGE = 2, 5, 1 << 21
#: With more, each way is tried in so many calls of a kind, of which the fastest counts. Units are
#: shared if that takes less than so much of the other's time; it is tried anew after so many calls.
_TRIES, _GAIN, _ANEW = 3, 0.97, 5000
#: So many kinds of calls are remembered.
_KINDS = 256
#: Products of numbers in a step of a thread that are worth a meeting.
_WORTH_A_MEETING = 1 << 13
#: Calls that share the batch after threads have parted because the cores have other work.
_PAUSE, _LONGEST_PAUSE = 20, 10_000
#: The rows of the input that are projected at once.
_PROJECTED = 48


class Trial:
    """Which of two ways to share the calls of a kind is faster, found by trying both in turn."""

    def __init__(self) -> None:
        self._calls, self._best = 0, [math.inf, math.inf]

    @property
    def by_units(self) -> bool:
        """Whether the next call is to share the units."""
        if self._calls < 2 * _TRIES:
            return self._calls % 2 == 1
        return self._best[True] < _GAIN * self._best[False]

    def took(self, by_units: bool, seconds: float) -> None:
        """Note how long a row took in a call."""
        self._best[by_units] = min(self._best[by_units], seconds)
        self._calls += 1
        if self._calls == _ANEW:
            self._calls, self._best = 0, [math.inf, math.inf]


class Sharing(NamedTuple):
    """How a call is shared.

    Attributes:
        slices: by how many threads.
        chunk: how many steps of the input are projected at once where units are shared; 0: the
            batch is shared.
        trial: wants to know how long it takes.
        rows: of all its steps.
    """

    slices: int
    chunk: int = 0
    trial: Trial | None = None
    rows: int = 0


def can_share_units(program: Program) -> bool:
    """Whether each unit needs others only in products, whose columns can be told apart."""
    plan = program.plan
    forward, backward = program.products, program.transposed.values()
    return (
        not plan.gaps
        and not plan.factors
        and all(each.across is None for each in plan.maps)
        and all(each.matrix.heads == 1 for each in forward)
        and all(len(_widths(each.into)) == 1 for each in (*forward, *backward))
    )


def _widths(view: View) -> set[str]:
    return {each.name for each in view.buffer.parts[view.start : view.stop]}


def meetings(operations: Sequence[Operation], keep: bool) -> set[int]:
    """Return the operations of a step before which threads that share the units have to meet.

    A product reads all units, which the others must have written. What it reads must not be
    overwritten before all have read it, unless the next step's values have rows of their own.

    Args:
        operations: those of a step, in order.
        keep: whether all buffers that may have a row for each step do.
    """
    written: set[str] = set()
    read: set[str] = set()
    found: set[int] = set()
    for place, each in [*enumerate(operations)] * 2:  # the next step's come after this one's
        into: list[Buffer] = []
        source: str | None = None
        if isinstance(each, Segment):
            into = [store.into.buffer for store in each.stores]
        elif isinstance(each, Multiply):
            buffer = each.source.buffer
            source = (buffer.after if isinstance(buffer, Before) else buffer).name
            into = [each.into.buffer]
        if source in written or any(b.name in read and not b.is_long(keep) for b in into):
            found.add(place)
            written, read = set(), set()
        written |= {buffer.name for buffer in into}
        if source is not None:
            read.add(source)
    return found


def slice_bounds(sizes: Tensor, size: int, slices: int) -> Tensor | None:
    """Return the first sequence of each slice, and how many there are; ``None``: all have as many.

    Sequences come longest first, so that those of a slice with as many would take longer than
    others.

    Args:
        sizes: how many sequences run at each step.
        size: of the batch.
        slices: how many threads share the batch.
    """
    if not 1 < slices < size:
        return None
    longer = torch.bincount(sizes, minlength=size + 1).flip(0).cumsum(0).flip(0)
    lengths = longer[1:]  # of a sequence: in how many steps at least so many run
    rows = torch.nn.functional.pad(lengths.cumsum(0), (1, 0))
    return torch.searchsorted(rows, torch.arange(slices + 1) * rows[-1] // slices)


class Sharings:
    """Chooses how calls of a kernel are shared.

    Args:
        program: the program.
        panel: how many units of a packed weight lie side by side.
    """

    def __init__(self, program: Program, panel: int) -> None:
        plan = program.plan
        self._units = program.buffers.affine.units
        loop = [each for each in program.products if each is not program.projection]
        #: Products of numbers at a step, for each row.
        self._products = sum(each.into.units * each.source.units for each in loop)
        self._panels = min(plan.widths) // panel
        self._by_units = can_share_units(program) and all(w % panel == 0 for w in plan.widths)
        self._paused, self._pause = 0, _PAUSE
        #: By whether it is a backward pass, the size of the batch, and how many threads there are.
        self._trials: dict[tuple[int, ...], Trial] = {}

    def __call__(self, batch: Batch, backward: bool) -> Sharing:
        return self.of(batch.rows, batch.size, backward)

    def of(self, rows: int, size: int, backward: bool) -> Sharing:
        """Return how a call is shared.

        Args:
            rows: of all steps.
            size: of the batch.
            backward: whether it is a backward pass.
        """
        work = rows * self._units // WORTH_A_THREAD
        if work <= 1 or (threads := torch.get_num_threads()) == 1:
            return Sharing(1)
        slices = min(threads, work)
        if self._paused:
            self._paused -= 1
        elif self._by_units and rows > FEW_ROWS and together():
            enough = _ENOUGH_ROWS if self._products < _LARGE else _ROWS_OF_LARGE
            each = self._products * size // _WORTH_A_MEETING
            parts = min(slices, self._panels, each if self._products else slices)
            if parts > 1 and parts >= min(slices, size):
                by_units = Sharing(parts, max(1, _PROJECTED // size))
                if size < enough * slices:
                    return by_units
                if self._products:
                    trial = self._trial(backward, size, slices)
                    shared = by_units if trial.by_units else Sharing(min(slices, size))
                    return shared._replace(trial=trial, rows=rows)
        return Sharing(min(slices, size))

    def _trial(self, *kind: int) -> Trial:
        if kind not in self._trials and len(self._trials) == _KINDS:
            self._trials.clear()
        return self._trials.setdefault(kind, Trial())

    def learn(self, parted: bool) -> None:
        """Share the batch for some calls if threads have parted; for more if they did so again."""
        if parted:
            self._paused, self._pause = self._pause, min(2 * self._pause, _LONGEST_PAUSE)
        else:
            self._pause = _PAUSE
