"""A dense recurrence on the GPU: at each time step its products, and the kernels between them.

Nothing here waits for the GPU, so that the whole loop can be captured in a CUDA graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..program.batch import Batch
from ..program.plan import Plan
from .cuda_graphs import Graphs
from .dense import summed_rows
from .grid import Grid
from .products import apply_map, blocks_of, multiply

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
        plan: of the step.
        grid: starts its kernels.
        carried: the dtype of states between steps, where it is not that of the tensors.
    """

    def __init__(self, plan: Plan, grid: Grid, carried: torch.dtype | None) -> None:
        self._plan, self._grid, self._carried = plan, grid, carried
        self._graphs = Graphs()
        self._summed = [name for name in plan.learned if name not in summed_rows(plan)]

    def forward(
        self, batch: Batch, tensors: dict[str, Tensor], constants: Sequence[float], keep: bool
    ) -> None:
        """Compute the states, the output and what is kept, in place."""
        plan = self._plan
        written = _of(tensors, "S", "Y", "Z", "V", "M")
        fresh = _of(tensors, "S", "Y", "V", "M") if keep else _of(tensors, "Y", "V", "M")
        if self._carried is not None:
            for name in plan.states:
                tensors[f"F.{name}"] = tensors[f"S0.{name}"].to(self._carried, copy=True)

        def run(known: Tensors) -> None:
            for at in _steps(batch):
                self._forward_step(at, known, constants, keep)

        read = [name for name in tensors if name not in fresh]
        self._graphs.run(("forward", keep, *constants), batch, tensors, read, written, run)

    def _forward_step(
        self, at: _At, known: Tensors, constants: Sequence[float], keep: bool
    ) -> None:
        plan, z = self._plan, known["Z"][at.rows]
        numbers = self._numbers(at, keep)
        before = {name: self._before(name, at, known, keep) for name in plan.states}
        for k, product in enumerate(plan.products):
            state, row = before[product.state]
            blocks = blocks_of(known[f"W.{k}"], product.heads).transpose(1, 2)
            into = z[:, plan.span(product.columns)]
            multiply(state[row : row + at.size], blocks, into, adds=product.adds)
        if self._carried is None:
            slots = {f"B.{name}": state for name, (state, _) in before.items()}
        else:
            numbers = (*numbers[:3], 0, 0)
            slots = {f"B.{name}": known[f"F.{name}"] for name in plan.states}
        here = {**known, **slots}
        kept = at.rows if keep else slice(0, at.size)
        for each in plan.maps:
            self._launch(f"forward {each.name}", here, numbers, constants)
            argument, result = known[f"V.{each.name}"], known[f"M.{each.name}"]
            apply_map(each, known, argument[kept], result[kept], transposed=False)
        self._launch("forward", here, numbers, constants)

    def backward(
        self, batch: Batch, tensors: dict[str, Tensor], constants: Sequence[float]
    ) -> dict[str, Tensor]:
        """Compute dZ, dM and dX, and G in place; the gradients of vectors that are summed here."""
        plan, like = self._plan, tensors["X"]
        for each in plan.maps:
            width = plan.widths[plan.node_widths[each.argument]]
            tensors[f"dV.{each.name}"] = like.new_empty(batch.size, width)
        for name in self._summed:
            width = plan.widths[plan.vector_width(name)]
            for slot in ("sum", "lost"):
                zeros = like.new_zeros(batch.size, width, dtype=self._carried or like.dtype)
                tensors[f"{slot}.{name}"] = zeros
        if self._carried is not None:
            for k, product in enumerate(plan.products):
                width = plan.widths[plan.states[product.state]]
                tensors[f"P.{k}"] = like.new_zeros(batch.size, width)

        def run(known: Tensors) -> None:
            for at in reversed(list(_steps(batch))):
                self._backward_step(at, known, constants)

        written = _of(tensors, "dZ", "dM", "dX", "G", "P", "sum")
        fresh = _of(tensors, "dZ", "dM", "dX", "dV")
        read = [name for name in tensors if name not in fresh]
        self._graphs.run(("backward", *constants), batch, tensors, read, written, run)
        if self._carried is not None:
            for k, product in enumerate(plan.products):
                tensors[f"G.{product.state}"] += tensors[f"P.{k}"]
        sums = {name: tensors[f"sum.{name}"].sum(0) for name in self._summed}
        return sums | self._summed_rows(tensors)

    def _summed_rows(self, tensors: Tensors) -> dict[str, Tensor]:
        """The gradients of the vectors that are added to what a product gives."""
        plan, found = self._plan, {}
        for name, (kind, part) in summed_rows(plan).items():
            if kind == "z":
                rows, left, place = tensors["dZ"], plan.units(plan.before(part)), plan.columns[part]
            else:
                each = next(one for one in plan.maps if part in one.names)
                before = each.names[: each.names.index(part)]
                rows, place = tensors[f"dM.{each.name}"], plan.mapped[part]
                left = plan.units(plan.mapped[one] for one in before)
            found[name] = rows[:, left : left + plan.widths[place]].sum(0, dtype=self._carried)
        return found

    def _backward_step(self, at: _At, known: Tensors, constants: Sequence[float]) -> None:
        plan, numbers = self._plan, self._numbers(at, True)
        slots = {f"B.{name}": self._before(name, at, known, True)[0] for name in plan.states}
        here = {**known, **slots}
        for each in reversed(plan.maps):
            self._launch(f"backward {each.name}", here, numbers, constants)
            received, passed = known[f"dM.{each.name}"], known[f"dV.{each.name}"]
            apply_map(each, known, received[at.rows], passed[: at.size], transposed=True)
        self._launch("backward", here, numbers, constants)
        dz = known["dZ"][at.rows]
        for k, product in enumerate(plan.products):
            blocks = blocks_of(known[f"W.{k}"], product.heads)
            adds = self._carried is None
            into = known[f"G.{product.state}" if adds else f"P.{k}"][: at.size]
            multiply(dz[:, plan.span(product.columns)], blocks, into, adds=adds)

    def _launch(
        self, name: str, tensors: Tensors, numbers: tuple[int, ...], constants: Sequence[float]
    ) -> None:
        self._grid.launch(name, tensors, numbers[0], numbers, constants, {}, warps=4)

    def _before(self, state: str, at: _At, known: Tensors, keep: bool) -> tuple[Tensor, int]:
        """A state before the step, and where its rows begin."""
        if not keep and not self._is_output(state):
            return known[f"S.{state}"], 0
        if at.before is None:
            return known[f"S0.{state}"], 0
        return known[f"S.{state}"], at.before

    def _is_output(self, state: str) -> bool:
        return self._plan.output is None and state == next(iter(self._plan.states))

    def _numbers(self, at: _At, keep: bool) -> tuple[int, ...]:
        before = at.before or 0
        return at.size, at.row, at.row if keep else 0, before, before if keep else 0


def _of(tensors: Tensors, *kinds: str) -> list[str]:
    """The names of some kinds of tensors: what stands before the first dot."""
    return [name for name in tensors if name.split(".")[0] in kinds]


def _steps(batch: Batch) -> Iterator[_At]:
    sizes = [batch.size] * batch.steps if batch.sizes is None else batch.sizes.tolist()
    row, before = 0, None
    for size in sizes:
        yield _At(size, row, before)
        before, row = row, row + size
