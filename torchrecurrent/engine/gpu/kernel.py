"""Runs Triton kernels over a sequence: the counterpart of ``cpu/kernel.py``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from ..program.batch import Batch
from ..program.buffers import forward_buffers
from ..program.parameters import Parameters
from ..program.plan import Plan
from ..program.weight_gradients import weight_gradients
from .emit import computed_in, emit_triton
from .grid import Grid
from .hoisted import is_elementwise
from .products import multiply
from .run_dense import Steps
from .run_elementwise import Loops

__all__ = ["TritonKernel"]


class TritonKernel:
    """A plan for tensors of one dtype, as Triton kernels; made when first used.

    float64 is computed in float64, all else in float32; then the first states, and their
    gradients, are as precise as the tensors, and what lies between the steps is float32.
    """

    def __init__(self, plan: Plan, dtype: torch.dtype) -> None:
        self.plan, self.dtype, self.real = plan, dtype, computed_in(dtype)
        self.source = emit_triton(plan, dtype)
        self.parameters = Parameters(plan, dtype.itemsize)
        grid = Grid(plan, self.source)
        self._run = (
            Loops(plan, grid, self.real)
            if is_elementwise(plan)
            else Steps(plan, grid, self.real if self.real != dtype else None)
        )

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
            whole = isinstance(self._run, Loops)
            tensors = {
                name: data.new_empty((rows if whole or name == "Z" else kept, width))
                for name, width in {**plan.scratch(), **self._averages()}.items()
            }
            tensors |= forward_buffers(plan, batch, states, keep, Tensor.new_empty)
            known = tensors | self._given(weights)
            if plan.inputs:
                kernel = known["W.input"]
                into = tensors["Z"][:, : kernel.size(0)]
                torch.mm(data.flatten(0, -2), kernel.t(), out=into)
            self._run.forward(batch, known, constants, keep)
        return tensors | {name: tensors[name][:, :1].contiguous() for name in self._averages()}

    def _averages(self) -> dict[str, int]:
        """How wide averages are here: the kernels read a number for each unit."""
        plan = self.plan
        return {
            f"M.{each.name}": plan.widths[plan.mapped[each.name]]
            for each in plan.maps
            if each.weight is None
        }

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
            wide = {
                name: tensors[name].expand(-1, width).contiguous()
                for name, width in self._averages().items()
            }
            known = {**tensors, **wide, **given, **work}
            sums = self._run.backward(batch, known, constants)
            grads = weight_gradients(
                plan, self.parameters, batch, tensors, work, weights, sums, _add, self.real
            )
            grad_first = [known[f"G.{name}"].to(self.dtype) for name in plan.states]
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
