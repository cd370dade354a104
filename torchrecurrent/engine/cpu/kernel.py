"""Runs compiled kernels: fills in their pointers."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

from ..program.batch import Batch
from ..program.lower import lower
from ..program.parameters import Parameters
from ..program.plan import Plan
from ..program.weight_gradients import weight_gradients
from .cache import load
from .emit import Real, Source, emit_c
from .memory import fresh
from .products import products
from .threads import share

__all__ = ["FEW_ROWS", "REALS", "Kernel", "SequenceArguments"]

#: The C type of a dtype.
REALS: dict[torch.dtype, Real] = {torch.float32: "float", torch.float64: "double"}
#: Below this many numbers a second thread costs more than it saves.
_WORTH_A_THREAD = 1 << 14
#: Up to this many rows, multiplying with an unpacked weight is faster than packing it first.
FEW_ROWS = 4


class SequenceArguments(ctypes.Structure):
    """``sequence_t`` of the emitted code."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("p", "c", "sizes", "offsets", "w", "blocks")),
        *((name, ctypes.c_int64) for name in ("T", "I", "batch", "keep", "packed")),
    )


class Kernel:
    """A plan in one precision, compiled."""

    def __init__(self, plan: Plan, dtype: torch.dtype) -> None:
        self.plan = plan
        self.source: Source = emit_c(plan, REALS[dtype])
        with ThreadPoolExecutor(1) as pool:  # on the first run two compilers work side by side
            pending = pool.submit(products, REALS[dtype])
            library = load(self.source.text)
            self._products = pending.result()
        self.call, self._backward = library.forward, library.backward
        self.blocks = self._products.blocks
        #: Arrays of arguments: the pointers, the constants, and the widths.
        self.pointers = ctypes.c_void_p * max(1, len(self.source.slots))
        self.numbers = ctypes.c_double * max(1, len(plan.constants))
        self._widths = (ctypes.c_int64 * (len(plan.widths) + 1))(*plan.widths, max(plan.widths))
        self.widths = ctypes.addressof(self._widths)
        self.program = lower(plan)
        self.parameters = Parameters(self.program, dtype.itemsize)
        #: Room for each slice's values that are computed from parameters before the loop.
        self.sums = self.source.vectors * max(plan.widths) if "vectors" in self.source.slots else 0

    def forward(
        self,
        batch: Batch,
        weights: Mapping[str, Tensor],
        states: Sequence[Tensor],
        constants: Sequence[float],
        keep: bool,
    ) -> dict[str, Tensor]:
        """Return all tensors that the sequence makes, under the names of the kernel's slots.

        Without ``keep`` there is no backward pass: only the output has a row for each step.
        """
        tensors = self.program.buffers.allocate(batch, states, keep, fresh)
        packed = batch.rows > FEW_ROWS
        parts = self.parameters.packed(weights, self._products.panel) if packed else {}
        self._run(
            self.call,
            tensors | parts,
            weights,
            batch,
            constants,
            (keep, packed),
            self._slices(batch),
        )
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
        """Return the gradients of data, weights and first states; overwrites ``grad_states``.

        With ``overwrites`` the gradient of Z takes the place of Z.
        """
        plan, data, b = self.plan, batch.data, self.program.buffers
        slices, z = self._slices(batch), tensors[b.affine.name]
        work = b.allocate_gradients(batch, z, grad_output, grad_states, fresh, overwrites)
        for each in b.totals:
            work[each.name] = data.new_zeros(slices, len(each.parts), max(plan.widths))
        if ((plan.inputs or plan.gaps) and needs_data) or plan.raw_gradient:
            work[b.d_data.name] = grad_data = fresh(data, data.shape)
        else:
            grad_data = torch.zeros_like(data) if needs_data else data.new_zeros(())
        work |= self.parameters.packed(weights, self._products.panel, needs_data, transposed=True)
        self._run(
            self._backward,
            {**tensors, **work},
            weights,
            batch,
            constants,
            (True, True),
            slices,
        )
        _, total, _ = b.totals
        sums = {leaf: work[total.name][:, k].sum(0) for k, leaf in enumerate(plan.learned)}
        grads = weight_gradients(
            self.program, batch, tensors, work, weights, sums, self._products.add
        )
        return grad_data, grads, list(grad_states)

    def _slices(self, batch: Batch) -> int:
        """How many threads share the batch."""
        work = batch.rows * self.program.buffers.affine.units
        return max(1, min(torch.get_num_threads(), batch.size, work // _WORTH_A_THREAD))

    def _run(
        self,
        function: Any,
        tensors: Mapping[str, Tensor],
        weights: Mapping[str, Tensor],
        batch: Batch,
        constants: Sequence[float],
        flags: tuple[bool, bool],
        slices: int,
    ) -> None:
        found = self.parameters.addresses(weights)
        found |= {name: tensor.data_ptr() for name, tensor in tensors.items()}
        if self.sums:
            sums = batch.data.new_empty(slices * self.sums)
            found["vectors"] = sums.data_ptr()
        pointers = self.pointers(*map(found.get, self.source.slots))
        numbers = self.numbers(*constants)
        offsets = batch.offsets()
        arguments = SequenceArguments(
            ctypes.addressof(pointers),
            ctypes.addressof(numbers),
            None if batch.sizes is None else batch.sizes.data_ptr(),
            None if offsets is None else offsets.data_ptr(),
            self.widths,
            self.blocks,
            batch.steps,
            batch.data.size(-1) - self.plan.gaps,
            batch.size,
            *flags,
        )
        share(function, arguments, slices)
