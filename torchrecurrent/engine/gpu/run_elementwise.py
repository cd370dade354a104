"""An elementwise recurrence on the GPU: the whole sequence in one launch, or two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..program.batch import Batch
from ..program.buffers import Before
from ..program.form import Form
from ..program.lower import Program, Segment
from .grid import Cut, Grid
from .hoisted import add_lifted, lifted_gradients
from .memory import fresh
from .products import apply

__all__ = ["Loops"]


class Loops:
    """The loop over time of a plan without products in it; the counterpart of :class:`.Steps`.

    Args:
        program: of the step.
        grid: starts its kernels.
        real: the dtype of sums, and of states between chunks.
    """

    def __init__(self, program: Program, grid: Grid, real: torch.dtype) -> None:
        self._program, self._grid, self._real = program, grid, real

    def forward(
        self, batch: Batch, tensors: dict[str, Tensor], constants: Sequence[float], keep: bool
    ) -> None:
        """Compute the states, the output and what is kept, in place."""
        program = self._program
        add_lifted(program, batch, tensors)
        cut = self._cut("forward", batch)
        self._loop("forward", batch, tensors, constants, cut, {"KEEP": keep})
        for each in program.forward:
            if not isinstance(each, Segment) and not isinstance(each.source.buffer, Before):
                source, into = each.source.buffer.name, each.into.buffer.name
                apply(each, tensors, tensors[source], tensors[into])
        if program.plan.maps:
            self._rows("readout", batch, tensors, constants)

    def reads_its_own(self, batch: Batch) -> bool:
        """Whether in the backward pass each row of Z is read only where its gradient is written.

        Not if the steps are cut: a chunk whose matrix is not finite reads the rows of the others.
        """
        return self._cut("backward", batch).chunks == 1

    def forms(self, batch: Batch, keep: bool) -> list[Form]:
        """The forms in which the kernels run for a call, each on top of the one before."""
        plain = Form(keep, batch.sizes is not None)
        passes = ("forward", "backward") if keep else ("forward",)
        cut = any(self._cut(name, batch).chunks > 1 for name in passes)
        return [plain, replace(plain, chunks=True)] if cut else [plain]

    def any_forms(self, keep: bool) -> list[Form]:
        """The same for all numbers of steps and of sequences, of equal lengths, without graphs."""
        plain = Form(keep)
        passes = ("forward", "backward") if keep else ("forward",)
        cut = any(self._grid.kernels(f"{name} ends") is not None for name in passes)
        return [plain, replace(plain, chunks=True)] if cut else [plain]

    def _cut(self, name: str, batch: Batch) -> Cut:
        return self._grid.cut(name, batch.steps, batch.size, batch.data.device)

    def backward(
        self, batch: Batch, tensors: dict[str, Tensor], constants: Sequence[float]
    ) -> dict[str, Tensor]:
        """Compute dZ and dX in place, put G of the first states in the place of the last ones'.

        Returns:
            The gradients of the learned vectors.
        """
        b, like = self._program.buffers, batch.data
        for each in self._program.backward:
            if not isinstance(each, Segment):
                passed = fresh(like, (batch.rows, each.into.units))
                apply(each, tensors, tensors[each.source.buffer.name], passed)
                tensors[each.into.buffer.name] = passed
            elif each.name == "backward":
                break  # the loop, and products that are taken after it
            else:
                self._rows(each.name, batch, tensors, constants)
        cut = self._cut("backward", batch)
        rows = cut.chunks * batch.size
        # Memory of its own: other chunks may still have to read the last states'.
        more = {
            each.name: fresh(like, (count, each.units), self._real)
            for count, buffers in ((rows, b.sums), (batch.size, b.d_first))
            for each in buffers.values()
        }
        self._loop("backward", batch, tensors | more, constants, cut, {})
        for last, first in zip(b.d_states.values(), b.d_first.values(), strict=True):
            tensors[last.name] = more[first.name]
        lifted_gradients(self._program, batch, tensors)
        return {name: more[each.name].sum(0) for name, each in b.sums.items()}

    def _rows(
        self, name: str, batch: Batch, tensors: Mapping[str, Tensor], constants: Sequence[float]
    ) -> None:
        """A part that no step waits for: all rows at once."""
        numbers = (batch.rows, 0, 0, 0, 0)
        self._grid.launch(name, tensors, batch.rows, numbers, constants, {}, warps=4)

    def _loop(
        self,
        name: str,
        batch: Batch,
        tensors: Mapping[str, Tensor],
        constants: Sequence[float],
        cut: Cut,
        flags: Mapping[str, bool],
    ) -> None:
        """One direction, all steps."""
        sizes, offsets = (None, None) if batch.table is None else batch.table
        numbers = (sizes, offsets, batch.steps, batch.size, cut.length)
        known = dict(tensors)

        def launch(part: str, flags: Mapping[str, bool], chunks: int) -> None:
            self._grid.launch(
                part, known, batch.size, numbers, constants, flags,
                warps=1, chunks=chunks, loop=True,
            )  # fmt: skip

        ends = self._grid.kernels(f"{name} ends")
        if ends is None:
            launch(name, flags, 1)
            return
        for spec in ends:
            shape = ((cut.chunks - 1) * batch.size, self._program.plan.widths[spec.place])
            for slot in spec.slots:
                if slot.startswith("E."):
                    known[slot] = fresh(batch.data, shape, self._real)
        if cut.chunks > 1:
            launch(f"{name} ends", {}, cut.chunks - 1)
        launch(name, {**flags, "CHUNKED": cut.chunks > 1}, cut.chunks)
