"""A dense recurrence on the GPU: at each time step its products, and the kernels between them.

Nothing here waits for the GPU, so that the whole loop can be captured in a CUDA graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..program.batch import Batch
from ..program.buffers import Before, Buffer, Type, View
from ..program.form import Form
from ..program.lower import Operation, Program, Segment
from .cuda_graphs import Graphs, replays
from .dense import summed_rows
from .grid import Grid
from .products import apply

__all__ = ["Steps"]

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class _At:
    """One step: how many sequences run, where its rows begin, and those of the step before."""

    size: int
    row: int
    before: int | None  # nothing at the first step

    @property
    def rows(self) -> slice:
        return slice(self.row, self.row + self.size)


class Steps:
    """The loop over time of a plan with products in it.

    Args:
        program: of the plan.
        grid: starts its kernels.
        carried: the dtype of states between steps, where it is not that of the tensors.
    """

    def __init__(self, program: Program, grid: Grid, carried: torch.dtype | None) -> None:
        self._program, self._grid, self._carried = program, grid, carried
        self._graphs = Graphs()
        self._columns = summed_rows(program)

    def forward(
        self, batch: Batch, tensors: dict[str, Tensor], constants: Sequence[float], keep: bool
    ) -> None:
        """Compute the states, the output and what is kept, in place."""
        b = self._program.buffers
        if self._carried is not None:
            for first, each in zip(b.first.values(), b.carried.values(), strict=True):
                tensors[each.name] = tensors[first.name].to(self._carried, copy=True)

        def run(known: Tensors) -> None:
            for at in _steps(batch):
                self._step(self._program.forward, at, known, constants, keep)

        maps = [*b.arguments.values(), *b.results.values()]
        fresh = _names(tensors, b.output, *maps, *(b.states.values() if keep else ()))
        written = _names(tensors, b.output, *maps, *b.states.values(), b.affine)
        read = [name for name in tensors if name not in fresh]
        self._graphs.run(("forward", keep, *constants), batch, tensors, read, written, run)

    def reads_its_own(self, batch: Batch) -> bool:
        """Whether in the backward pass each row of Z is read only where its gradient is written.

        Each kernel here has one step, and reads of Z what it writes of dZ.
        """
        return True

    def forms(self, batch: Batch, keep: bool) -> list[Form]:
        """The forms in which the kernels run for a call, each on top of the one before."""
        plain = Form(keep, batch.sizes is not None)
        return [plain, replace(plain, replay=True)] if replays(batch) else [plain]

    def any_forms(self, keep: bool) -> list[Form]:
        """The same for all numbers of steps and of sequences, of equal lengths, without graphs."""
        return [Form(keep)]

    def backward(
        self, batch: Batch, tensors: dict[str, Tensor], constants: Sequence[float]
    ) -> dict[str, Tensor]:
        """Compute dZ, dM and dX, and G in place; the gradients of vectors that are summed here."""
        program, b, like = self._program, self._program.buffers, batch.data
        summed = [name for name in b.sums if name not in self._columns]
        pending = b.pending.values() if self._carried is not None else ()
        of_sums = [each[name] for name in summed for each in (b.sums, b.lost)]
        for each in (*of_sums, *pending):
            dtype = self._carried if each.type is Type.SUM else None
            tensors[each.name] = like.new_zeros(each.shape(batch, True), dtype=dtype)

        def run(known: Tensors) -> None:
            for at in reversed(list(_steps(batch))):
                self._step(program.backward, at, known, constants, True)

        made = [b.d_affine, b.d_data, *b.d_gaps, *b.d_results.values()]
        fresh = _names(tensors, *made, *b.d_arguments.values())
        written = _names(tensors, *made, *b.d_states.values(), *pending, *b.sums.values())
        read = [name for name in tensors if name not in fresh]
        self._graphs.run(("backward", *constants), batch, tensors, read, written, run)
        if self._carried is not None:
            for k, product in enumerate(program.plan.products):
                tensors[b.d_states[product.state].name] += tensors[b.pending[str(k)].name]
        # Of vectors that are added to what a product gives: sums of that product's gradients.
        columns = {
            name: view.of(tensors[view.buffer.name]).sum(0, dtype=self._carried)
            for name, view in self._columns.items()
        }
        return columns | {name: tensors[b.sums[name].name].sum(0) for name in summed}

    def _step(
        self,
        operations: Sequence[Operation],
        at: _At,
        known: Tensors,
        constants: Sequence[float],
        keep: bool,
    ) -> None:
        """The operations of one time step."""
        b, before = self._program.buffers, at.before or 0
        numbers = (at.size, at.row, at.row if keep else 0, before, before if keep else 0)
        slots = {each.name: _before(each, at, known, keep)[0] for each in b.before.values()}
        if self._carried is not None and operations is self._program.forward:
            numbers = (*numbers[:3], 0, 0)
            carried = zip(b.before.values(), b.carried.values(), strict=True)
            slots = {each.name: known[now.name] for each, now in carried}
        here = {**known, **slots}
        for each in operations:
            if isinstance(each, Segment):
                self._grid.launch(each.name, here, at.size, numbers, constants, {}, warps=4)
            else:
                source, into = (_rows(view, at, known, keep) for view in (each.source, each.into))
                apply(each, known, source, into)


def _before(each: Before, at: _At, known: Tensors, keep: bool) -> tuple[Tensor, int]:
    """A state before the step, and where its rows begin."""
    if not each.is_long(keep):
        return known[each.after.name], 0
    if at.before is None:
        return known[each.first.name], 0
    return known[each.after.name], at.before


def _rows(view: View, at: _At, known: Tensors, keep: bool) -> Tensor:
    """Return the rows that an operation reads or writes in a step."""
    buffer = view.buffer
    if isinstance(buffer, Before):
        tensor, row = _before(buffer, at, known, keep)
        return tensor[row : row + at.size]
    return view.of(known[buffer.name][at.rows if buffer.is_long(keep) else slice(0, at.size)])


def _names(tensors: Tensors, *buffers: Buffer) -> list[str]:
    """The names of those of some buffers that there are."""
    return [each.name for each in buffers if each.name in tensors]


def _steps(batch: Batch) -> Iterator[_At]:
    sizes = [batch.size] * batch.steps if batch.sizes is None else batch.sizes.tolist()
    row, before = 0, None
    for size in sizes:
        yield _At(size, row, before)
        before, row = row, row + size
