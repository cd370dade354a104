"""Runs Triton kernels over a sequence: the counterpart of ``cpu/kernel.py``."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..program.batch import Batch
from ..program.form import Form
from ..program.lower import Units
from ..program.parameters import Parameters
from ..program.plan import Plan
from ..program.weight_gradients import weight_gradients
from .cuda_graphs import trying_graphs, without_graphs
from .emit import computed_in, emit_triton, lowered
from .grid import Grid, cut_into, tallest
from .hoisted import is_elementwise
from .load import interpreted, version
from .memory import Guards, fresh
from .products import apply
from .run_dense import Steps
from .run_elementwise import Loops

__all__ = ["TritonKernel"]

#: Bytes, which Triton tells apart.
_ALIGNMENT = 16


class TritonKernel:
    """A plan for tensors of one dtype, as Triton kernels; made when first used.

    float64 is computed in float64, all else in float32; then the first states, and their
    gradients, are as precise as the tensors, and what lies between the steps is float32.
    """

    def __init__(self, plan: Plan, dtype: torch.dtype) -> None:
        self.plan, self.dtype, self.real = plan, dtype, computed_in(dtype)
        self.source = emit_triton(plan, dtype)
        self.program = lowered(plan, dtype)
        self.parameters = Parameters(self.program, dtype.itemsize)
        grid = Grid(plan, self.source)
        self._run = (
            Loops(self.program, grid, self.real)
            if is_elementwise(plan)
            else Steps(self.program, grid, self.real if self.real != dtype else None)
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
        batch, states = _aligned_batch(batch), [_aligned(state) for state in states]
        b, data = self.program.buffers, batch.data
        with _alone(data):
            whole = isinstance(self._run, Loops)
            tensors = b.allocate(batch, states, keep, fresh, whole)
            known = tensors | self._given(weights)
            first = self.program.projection
            if first is not None:
                rows, z = first.source.of(data.flatten(0, -2)), tensors[b.affine.name]
                apply(first, known, rows, first.into.of(z))
            self._run.forward(batch, known, constants, keep)
        narrow = {name: tensors[name][:, :1].contiguous() for name in self._numbers()}
        return tensors | narrow

    def forms(self, batch: Batch, keep: bool) -> list[Form]:
        """The forms in which the kernels run for a call; see :class:`.Loops`."""
        return self._run.forms(batch, keep)

    def any_forms(self, keep: bool) -> list[Form]:
        """The same for any number of steps and sequences; see :class:`.Loops`."""
        return self._run.any_forms(keep)

    @property
    def tallest(self) -> int:
        """The most sequences that one program of a kernel has."""
        return tallest(self.plan.widths, self.dtype.itemsize)

    @contextmanager
    def tried(self, form: Form, guards: Guards) -> Iterator[None]:
        """In a ``with`` block of this thread run in one form, and in guarded memory."""
        with (
            guards.around_all(),
            cut_into(3 if form.chunks else 1),
            trying_graphs() if form.replay else without_graphs(),
        ):
            yield

    @property
    def made_of(self) -> dict[str, str]:
        """All that decides what the kernels compute, but for the device and torch."""
        return {"text": self.source.text, "code": _code(), "compiler": _compiler()}

    def _numbers(self) -> dict[str, int]:
        """Return the width of each average and its like: kernels read a number for each unit."""
        found = [each for each in self.program.forward if isinstance(each, Units)]
        return {each.into.buffer.name: each.into.units for each in found if each.across.is_number}

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

        With ``overwrites`` the gradient of Z takes the place of Z, where no program reads what
        another has written.
        """
        batch = _aligned_batch(batch)
        tensors = {name: _aligned(tensor) for name, tensor in tensors.items()}
        b, data, grad_output = self.program.buffers, batch.data, _aligned(grad_output)
        with _alone(data):
            z, given = tensors[b.affine.name], self._given(weights)
            last = [_aligned(gradient.to(self.real)) for gradient in grad_states]
            overwrites = overwrites and self._run.reads_its_own(batch)
            work = b.allocate_gradients(batch, z, grad_output, last, fresh, overwrites)
            if self.plan.raw_gradient:
                work[b.d_data.name] = fresh(data, data.shape)
            wide = {
                name: tensors[name].expand(-1, width).contiguous()
                for name, width in self._numbers().items()
            }
            known = {**tensors, **wide, **given, **work}
            sums = self._run.backward(batch, known, constants)
            grads = weight_gradients(
                self.program, batch, tensors, work, weights, sums, _add, self.real
            )
            grad_first = [known[each.name].to(self.dtype) for each in b.d_states.values()]
            return (
                self._data_gradient(batch, given, work, needs_data),
                {name: gradient.to(self.dtype) for name, gradient in grads.items()},
                grad_first,
            )

    def _given(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The parts of the parameters that kernels and products read."""
        found = {each.slot(): each.of(weights) for each in self.parameters.matrices}
        return found | {slot: weights[name][row:] for slot, name, row in self.parameters.vectors}

    def _data_gradient(
        self,
        batch: Batch,
        given: Mapping[str, Tensor],
        work: Mapping[str, Tensor],
        needs_data: bool,
    ) -> Tensor:
        last, total, data = self.program.data_gradient, self.program.gap_gradient, batch.data
        gradient = work.get(self.program.buffers.d_data.name)
        if not needs_data:
            return data.new_zeros(()) if gradient is None else gradient
        if gradient is None:
            gradient = torch.zeros_like(data) if last is None else fresh(data, data.shape)
        rows = gradient.view(batch.rows, -1)
        if last is not None:
            apply(last, given, last.source.of(work[last.source.buffer.name]), last.into.of(rows))
        if total is not None:
            of_units = work[total.source.buffer.name]
            total.into.of(rows).copy_(of_units.sum(1, keepdim=True, dtype=self.real))
        return gradient


@cache
def _code() -> str:
    """The digest of all that launches the kernels, and of the functions that they call."""
    folder, digest = Path(__file__).parent, hashlib.sha256()
    for file in sorted((*folder.glob("*.py"), *(folder.parent / "program").glob("*.py"))):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _compiler() -> str:
    return f"Triton {version()}{', interpreted' if interpreted() else ''}"


def _add(a: Tensor, b: Tensor, total: Tensor) -> None:
    if a.dtype == total.dtype:
        total.addmm_(a.t(), b)
    else:
        total += a.t() @ b


def _aligned(tensor: Tensor) -> Tensor:
    """The tensor, or a copy if it begins where no tensor of torch's own does.

    Kernels are compiled for one alignment only. If there were two, the other one might be asked
    for first during the capture of a CUDA graph, when nothing can be loaded.
    """
    return tensor.clone() if tensor.data_ptr() % _ALIGNMENT else tensor


def _aligned_batch(batch: Batch) -> Batch:
    data = _aligned(batch.data)
    noise = {name: _aligned(mask) for name, mask in batch.noise.items()}
    return batch if data is batch.data and not noise else replace(batch, data=data, noise=noise)


@contextmanager
def _alone(data: Tensor) -> Iterator[None]:
    """On the device of ``data``, recorded by nobody, and in no other precision than we choose."""
    guard: Any = torch.cuda.device(data.device) if data.is_cuda else nullcontext()
    with guard, torch.no_grad(), torch.autocast(data.device.type, enabled=False):
        yield
