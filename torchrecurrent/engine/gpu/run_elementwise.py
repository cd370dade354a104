"""An elementwise recurrence on the GPU: the whole sequence in one launch, or two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ..program.batch import Batch
from ..program.plan import Plan
from .grid import Cut, Grid
from .hoisted import add_lifted, lifted_gradients
from .products import apply_map

__all__ = ["Loops"]

#: How many steps' loads are in flight.
_STAGES = 6


class Loops:
    """The loop over time of a plan without products in it; the counterpart of :class:`.Steps`.

    Args:
        plan: of the step.
        grid: starts its kernels.
        real: the dtype of sums, and of states between chunks.
    """

    def __init__(self, plan: Plan, grid: Grid, real: torch.dtype) -> None:
        self._plan, self._grid, self._real = plan, grid, real

    def forward(
        self, batch: Batch, tensors: dict[str, Tensor], constants: Sequence[float], keep: bool
    ) -> None:
        """Compute the states, the output and what is kept, in place."""
        add_lifted(self._plan, batch, tensors)
        cut = self._grid.cut("forward", batch.steps, batch.size, batch.data.device)
        self._loop("forward", batch, tensors, constants, cut, {"KEEP": keep})
        for each in self._plan.maps:
            argument, result = tensors[f"V.{each.name}"], tensors[f"M.{each.name}"]
            apply_map(each, tensors, argument, result, transposed=False)
        if self._plan.maps:
            self._rows("readout", batch, tensors, constants)

    def backward(
        self, batch: Batch, tensors: dict[str, Tensor], constants: Sequence[float]
    ) -> dict[str, Tensor]:
        """Compute dZ and dX in place, put G of the first states in the place of the last ones'.

        Returns:
            The gradients of the learned vectors.
        """
        plan, sums = self._plan, {}
        for each in plan.maps:
            self._rows(f"backward {each.name}", batch, tensors, constants)
            passed = torch.empty_like(tensors[f"V.{each.name}"])
            apply_map(each, tensors, tensors[f"dM.{each.name}"], passed, transposed=True)
            tensors[f"dV.{each.name}"] = passed
        cut = self._grid.cut("backward", batch.steps, batch.size, batch.data.device)
        for name in plan.learned:
            width = plan.widths[plan.vector_width(name)]
            sums[name] = batch.data.new_empty((cut.chunks * batch.size, width), dtype=self._real)
        # Memory of its own: other chunks may still have to read the last states'.
        first = {name: torch.empty_like(tensors[f"G.{name}"]) for name in plan.states}
        known = {
            **tensors,
            **{f"sum.{name}": total for name, total in sums.items()},
            **{f"G0.{name}": value for name, value in first.items()},
        }
        self._loop("backward", batch, known, constants, cut, {})
        tensors.update({f"G.{name}": value for name, value in first.items()})
        lifted_gradients(plan, batch, tensors)
        return {name: total.sum(0) for name, total in sums.items()}

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
        device, sizes, offsets = batch.data.device, batch.sizes, batch.offsets()
        if sizes is not None and offsets is not None:
            sizes, offsets = sizes.to(device), offsets.to(device)
        numbers = (sizes, offsets, batch.steps, batch.size, cut.length)
        known = dict(tensors)

        def launch(part: str, flags: Mapping[str, bool], chunks: int) -> None:
            options = {**flags, "STAGES": _STAGES}
            self._grid.launch(
                part, known, batch.size, numbers, constants, options, warps=1, chunks=chunks
            )

        ends = self._grid.kernels(f"{name} ends")
        if ends is None:
            launch(name, flags, 1)
            return
        for spec in ends:
            shape = ((cut.chunks - 1) * batch.size, self._plan.widths[spec.place])
            for slot in spec.slots:
                if slot.startswith("E."):
                    known[slot] = batch.data.new_empty(shape, dtype=self._real)
        if cut.chunks > 1:
            launch(f"{name} ends", {}, cut.chunks - 1)
        launch(name, {**flags, "CHUNKED": cut.chunks > 1}, cut.chunks)
