"""The step of a cell at all time steps at once, each from states that are given.

Nothing here depends on the order of the steps: it is the reference's step, on as many rows as there
are steps of all sequences. Of an elementwise cell each unit's new states depend on that unit's old
states alone, so that their derivative is one small matrix for each row and unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...declaration.noise import DROPPED
from ..ir.graph import Leaf
from ..program.batch import Batch
from ..program.plan import Plan
from . import reference
from .autograd import join_delay, split_delay
from .kernels import Fused

if TYPE_CHECKING:
    from ...cell import BaseRecurrentCell

__all__ = ["AllSteps", "moving"]


@lru_cache
def moving(plan: Plan) -> tuple[int, ...]:
    """Return which states depend on the states before; the others pass on the input alone."""
    products = {Leaf("z", name) for each in plan.products for name in each.columns}
    found = []
    for place, new in enumerate(plan.new_states):
        leaves = [plan.graph.nodes[node].leaf for node in plan.graph.needed([new])]
        if any(leaf in products or leaf.kind == "s" for leaf in leaves if leaf is not None):
            found.append(place)
    return tuple(found)


class AllSteps:
    """A cell with its parameters and a whole input.

    Args:
        fused: what is known of the cell.
        cell: the cell.
        batch: the input, and the masks that were drawn for it.
        weights: the parameters, in the order of ``fused.weights``.
        noise: the masks, in the order of its buffers.
    """

    def __init__(
        self,
        fused: Fused,
        cell: BaseRecurrentCell,
        batch: Batch,
        weights: Sequence[Tensor],
        noise: Sequence[Tensor],
    ) -> None:
        plan = fused.plan
        self.batch, self._cell = batch, cell
        named = dict(zip(fused.weights, weights, strict=True))
        masks = {
            name: mask[batch.sequence_rows] if name.startswith(DROPPED) else mask.flatten(0, -2)
            for name, mask in fused.masks(noise).items()
        }
        parameters = dict.fromkeys(cell.parameter_shapes) | named
        self._step = reference.replayed(cell, parameters)
        self._parameters = {**parameters, **masks}
        self._inputs = self._step.project(batch.data.flatten(0, -2))
        self.moving, self.output_is_state = moving(plan), plan.output is None
        widths = [plan.widths[place] for place in plan.states.values()]
        #: The moving states, those of one width together: no unit has states of two.
        self.groups = [
            [place for place in self.moving if widths[place] == width]
            for width in dict.fromkeys(widths[place] for place in self.moving)
        ]
        self._places: Tensor | None = None
        if batch.sizes is not None:  # of each row in a grid of all steps of all sequences
            steps = torch.repeat_interleave(torch.arange(batch.steps), batch.sizes)
            self._places = steps.to(batch.data.device) * batch.size + batch.sequence_rows

    def before(self, first: Sequence[Tensor], states: Sequence[Tensor]) -> list[Tensor]:
        """Return the states before each row, from the first ones and those after each row."""
        rows = self.batch.previous_rows
        return [torch.cat([one, each[rows]]) for one, each in zip(first, states, strict=True)]

    def passed_back(self, gradient: Tensor) -> Tensor:
        """Return the gradient of the states after each row, from that of those before each."""
        found = torch.zeros_like(gradient)
        found[self.batch.previous_rows] = gradient[self.batch.size :]
        return found

    def evaluate(self, before: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return output and states after each row."""
        states = join_delay(self._cell, tuple(before))
        output, new = self._step.update(self._inputs, states, self._parameters)
        return output, list(split_delay(self._cell, new))

    def slopes(
        self, group: Sequence[int], new: Sequence[Tensor], before: Sequence[Tensor]
    ) -> Tensor:
        """Return the derivatives of a group of k new states, ``(k, k, T, N, width)``.

        As each unit is by itself, the derivatives of all rows and units are those of their sum.
        """
        found = []
        for place in group:
            row: Sequence[Tensor | None] = [None] * len(group)
            if new[place].requires_grad:
                ones = torch.ones_like(new[place])
                old = [before[other] for other in group]
                row = torch.autograd.grad(
                    new[place], old, ones, retain_graph=True, allow_unused=True
                )
            zero = torch.zeros_like(before[place])
            found.append(torch.stack([zero if each is None else each for each in row]))
        return self.grid(torch.stack(found))

    def grid(self, rows: Tensor) -> Tensor:
        """Return values ``(*, rows, width)`` as ``(*, T, N, width)``, with zeros after each end."""
        lead, width = rows.shape[:-2], rows.size(-1)
        if self._places is not None:
            every = rows.new_zeros(*lead, self.batch.steps * self.batch.size, width)
            every[..., self._places, :] = rows
            rows = every
        return rows.view(*lead, self.batch.steps, self.batch.size, width)

    def rows(self, grid: Tensor) -> Tensor:
        """Undo :meth:`grid`."""
        rows = grid.flatten(-3, -2)
        return rows if self._places is None else rows[..., self._places, :]
