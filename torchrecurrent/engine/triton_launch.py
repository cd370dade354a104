"""Runs Triton kernels over a sequence: the counterpart of :mod:`.launch` for the GPU."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from .batch import Batch
from .buffers import forward_buffers
from .emit_triton import computed_in, emit_triton
from .lifted import add_lifted, is_elementwise, lifted_gradients
from .parameters import Parameters
from .plan import Plan
from .triton_grid import Cut, Grid
from .triton_products import multiply
from .triton_sequence import Steps
from .triton_steps import summed_rows
from .weight_gradients import weight_gradients

__all__ = ["TritonKernel"]

#: How many steps' loads are in flight.
_STAGES = 6


class TritonKernel:
    """A plan for tensors of one dtype, as Triton kernels; made when first used.

    float64 is computed in float64, all else in float32; then the first states, and their
    gradients, are as precise as the tensors, and what lies between the steps is float32.
    """

    def __init__(self, plan: Plan, dtype: torch.dtype) -> None:
        self.plan, self.dtype, self.real = plan, dtype, computed_in(dtype)
        self.source = emit_triton(plan, dtype)
        self.parameters = Parameters(plan, dtype.itemsize)
        self.elementwise = is_elementwise(plan)
        self._grid = Grid(plan, self.source)
        self._steps = Steps(plan, self._grid, self.real if self.real != dtype else None)

    def forward(
        self,
        batch: Batch,
        weights: Mapping[str, Tensor],
        states: Sequence[Tensor],
        constants: Sequence[float],
        keep: bool,
    ) -> dict[str, Tensor]:
        """All tensors that the sequence makes, under the names of the kernels' slots.

        Without ``keep`` there is no backward pass: only Z and the output have a row for each step.
        """
        plan, data, rows = self.plan, batch.data, batch.rows
        with _alone(data):
            kept = rows if keep else batch.size
            tensors = {
                name: data.new_empty((rows if name == "Z" else kept, width))
                for name, width in plan.scratch().items()
            }
            tensors |= forward_buffers(plan, batch, states, keep, Tensor.new_empty)
            known = tensors | self._given(weights)
            if plan.inputs:
                kernel = known["W.input"]
                into = tensors["Z"][:, : kernel.size(0)]
                torch.mm(data.flatten(0, -2), kernel.t(), out=into)
            if self.elementwise:
                add_lifted(plan, batch, known)
                cut = self._cut("forward", batch)
                self._loop("forward", batch, known, constants, cut, {"KEEP": keep})
            else:
                self._steps.forward(batch, known, constants, keep)
        return tensors

    def backward(
        self,
        batch: Batch,
        tensors: Mapping[str, Tensor],
        weights: Mapping[str, Tensor],
        constants: Sequence[float],
        grad_output: Tensor,
        grad_states: Sequence[Tensor],
        needs_data: bool,
        overwrites: bool,
    ) -> tuple[Tensor, dict[str, Tensor], list[Tensor]]:
        """Gradients of the data, the weights and the first states; overwrites ``grad_states``.

        With ``overwrites`` the gradient of Z takes the place of Z.
        """
        plan, data = self.plan, batch.data
        with _alone(data):
            z, given = tensors["Z"], self._given(weights)
            work = {"dZ": z if overwrites else torch.empty_like(z), "dY": grad_output}
            for name, gradient in zip(plan.states, grad_states, strict=True):
                work[f"G.{name}"] = gradient.to(self.real)
            for each in plan.maps:
                width = plan.units(plan.mapped[name] for name in each.names)
                work[f"dM.{each.name}"] = data.new_empty(batch.rows, width)
            if plan.raw_gradient:
                work["dX"] = torch.empty_like(data)
            if self.elementwise:
                sums, first = self._loop_backward(batch, {**tensors, **given, **work}, constants)
                work |= first
                lifted_gradients(plan, batch, {**given, **work})
            else:
                known = {**tensors, **given, **work}
                sums = self._steps.backward(batch, known, constants)
                sums |= self._summed_rows(work)
            grads = weight_gradients(
                plan, self.parameters, batch, tensors, work, weights, sums, _add, self.real
            )
            grad_first = [work[f"G.{name}"].to(self.dtype) for name in plan.states]
            return (
                self._data_gradient(batch, given, work, needs_data),
                {name: gradient.to(self.dtype) for name, gradient in grads.items()},
                grad_first,
            )

    def _given(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The parts of the parameters that kernels and products read."""
        found = {f"W.{each.name}": each.of(weights) for each in self.parameters.dense}
        for leaf, vector in self.plan.vectors.items():
            for k, (name, start) in enumerate(vector.sources):
                found[f"v.{leaf}.{k}"] = weights[name][start:]
        return found

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
            self._grid.launch(part, known, batch.size, numbers, constants, options, 1, chunks)

        ends = self.source.kernels.get(f"{name} ends")
        if ends is None:
            launch(name, flags, 1)
            return
        for spec in ends:
            shape = ((cut.chunks - 1) * batch.size, self.plan.widths[spec.place])
            for slot in spec.slots:
                if slot.startswith("E."):
                    known[slot] = batch.data.new_empty(shape, dtype=self.real)
        if cut.chunks > 1:
            launch(f"{name} ends", {}, cut.chunks - 1)
        launch(name, {**flags, "CHUNKED": cut.chunks > 1}, cut.chunks)

    def _cut(self, name: str, batch: Batch) -> Cut:
        if f"{name} ends" not in self.source.kernels:
            return Cut(batch.steps, 1)
        return self._grid.cut(name, batch.steps, batch.size, batch.data.device)

    def _loop_backward(
        self, batch: Batch, tensors: Mapping[str, Tensor], constants: Sequence[float]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The gradients of the learned vectors, and of the first states by their slots."""
        plan, sums, cut = self.plan, {}, self._cut("backward", batch)
        for name in plan.learned:
            width = plan.widths[plan.node_widths[plan.graph.leaf("v", name)]]
            sums[name] = batch.data.new_empty((cut.chunks * batch.size, width), dtype=self.real)
        # Not in the place of the last ones, which other chunks may still have to read.
        first = {f"G.{name}": torch.empty_like(tensors[f"G.{name}"]) for name in plan.states}
        known = {
            **tensors,
            **{f"sum.{name}": total for name, total in sums.items()},
            **{slot.replace("G", "G0", 1): value for slot, value in first.items()},
        }
        self._loop("backward", batch, known, constants, cut, {})
        return {name: total.sum(0) for name, total in sums.items()}, first

    def _summed_rows(self, work: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The gradients of the vectors that are added to what a product gives."""
        plan, found = self.plan, {}
        for name, (kind, part) in summed_rows(plan).items():
            if kind == "z":
                rows, left, place = work["dZ"], plan.units(plan.before(part)), plan.columns[part]
            else:
                each = next(one for one in plan.maps if part in one.names)
                before = each.names[: each.names.index(part)]
                rows, place = work[f"dM.{each.name}"], plan.mapped[part]
                left = plan.units(plan.mapped[one] for one in before)
            found[name] = rows[:, left : left + plan.widths[place]].sum(0, dtype=self.real)
        return found

    def _data_gradient(
        self,
        batch: Batch,
        given: Mapping[str, Tensor],
        work: Mapping[str, Tensor],
        needs_data: bool,
    ) -> Tensor:
        plan, data, raw = self.plan, batch.data, work.get("dX")
        if not plan.inputs or not needs_data:
            zeros = torch.zeros_like(data) if needs_data else data.new_zeros(())
            return zeros if raw is None else raw
        gradient = torch.empty_like(data) if raw is None else raw
        kernel = given["W.input"]
        multiply(
            work["dZ"][:, : kernel.size(0)],
            kernel.unsqueeze(0),
            gradient.view(batch.rows, -1),
            adds=raw is not None,
        )
        return gradient


def _add(a: Tensor, b: Tensor, total: Tensor) -> None:
    if a.dtype == total.dtype:
        total.addmm_(a.t(), b)
    else:
        total += a.t() @ b


@contextmanager
def _alone(data: Tensor) -> Iterator[None]:
    """On the device of ``data``, recorded by nobody, and in no other precision than we choose."""
    guard: Any = torch.cuda.device(data.device) if data.is_cuda else nullcontext()
    with guard, torch.no_grad(), torch.autocast(data.device.type, enabled=False):
        yield
