"""Runs compiled kernels: fills in their pointers."""

from __future__ import annotations

import time
from array import array
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

from ..program.batch import Batch
from ..program.lower import lower
from ..program.parameters import Parameters
from ..program.plan import Plan
from .cache import load
from .emit import Real, Source, emit_c
from .gradients import Gradients
from .memory import fresh
from .products import products
from .sharing import FEW_ROWS, Sharing, Sharings, slice_bounds
from .threads import Team, entry, share

__all__ = ["REALS", "Kernel"]

#: The C type of a dtype.
REALS: dict[torch.dtype, Real] = {torch.float32: "float", torch.float64: "double"}


class Kernel:
    """A plan in one precision, compiled."""

    def __init__(self, plan: Plan, dtype: torch.dtype) -> None:
        self.plan = plan
        self.source: Source = emit_c(plan, REALS[dtype])
        with ThreadPoolExecutor(1) as pool:  # on the first run two compilers work side by side
            pending = pool.submit(products, REALS[dtype])
            library = load(self.source.text)
            self.products = pending.result()
        self.call, self.back = entry(library, "forward"), entry(library, "backward")
        self.widths = array("q", (*plan.widths, max(plan.widths)))
        self.program = lower(plan)
        self.parameters = Parameters(self.program, dtype.itemsize)
        self.gradients = Gradients(self.program, self.products, dtype.itemsize)
        self.sharing = Sharings(self.program, self.products.panel)
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
        sharing = self.sharing(batch, False)
        if sharing.chunk > 1 and not keep:  # room for the input of several steps
            z = self.program.buffers.affine
            tensors[z.name] = fresh(batch.data, (sharing.chunk * batch.size, z.units))
        packed = batch.rows > FEW_ROWS
        parts = self._packed(batch.data, weights) if packed else {}
        self._run(
            self.call,
            tensors | parts,
            weights,
            batch,
            constants,
            (keep, packed),
            sharing,
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
        sharing, z = self.sharing(batch, True), tensors[b.affine.name]
        work = b.allocate_gradients(batch, z, grad_output, grad_states, fresh, overwrites)
        sums = data.new_zeros(len(b.totals), sharing.slices, len(plan.learned), max(plan.widths))
        work |= {each.name: part for each, part in zip(b.totals, sums.unbind(0), strict=True)}
        if ((plan.inputs or plan.gaps) and needs_data) or plan.raw_gradient:
            work[b.d_data.name] = grad_data = fresh(data, data.shape)
        else:
            grad_data = torch.zeros_like(data) if needs_data else data.new_zeros(())
        work |= self._packed(data, weights, needs_data, transposed=True)
        self._run(
            self.back,
            {**tensors, **work},
            weights,
            batch,
            constants,
            (True, True),
            sharing,
        )
        _, total, _ = b.totals
        grads = self.gradients(batch, tensors, work, weights, work[total.name])
        return grad_data, grads, list(grad_states)

    def _packed(
        self,
        like: Tensor,
        weights: Mapping[str, Tensor],
        needs_data: bool = True,
        transposed: bool = False,
    ) -> dict[str, Tensor]:
        """Return the weights, or their transposes, as gemm.c reads them, by the kernel's names."""
        parts, kernels = {}, []
        for each in self.parameters.matrices:
            if needs_data or each.name != "input":
                weight, units = weights[each.weight], each.rows // each.heads
                inner = weight.size(1)
                size = self.products.packed_size(
                    *((inner, units) if transposed else (units, inner))
                )
                parts[each.slot(transposed)] = part = like.new_empty(each.heads * size)
                start = weight.data_ptr() + each.start * inner * self.parameters.itemsize
                kernels.append((each.heads, units, inner, transposed, start, part.data_ptr()))
        self.products.pack(kernels)
        return parts

    def _run(
        self,
        function: Any,
        tensors: Mapping[str, Tensor],
        weights: Mapping[str, Tensor],
        batch: Batch,
        constants: Sequence[float],
        flags: tuple[bool, bool],
        sharing: Sharing,
    ) -> None:
        found = self.parameters.addresses(weights)
        found |= {name: tensor.data_ptr() for name, tensor in tensors.items()}
        if self.sums:
            sums = batch.data.new_empty(sharing.slices * self.sums)
            found["vectors"] = sums.data_ptr()
        pointers = array("Q", [found.get(slot, 0) for slot in self.source.slots])
        numbers = array("d", constants)
        sizes, offsets = batch.sizes, batch.offsets()
        bounds = None if sizes is None else slice_bounds(sizes, batch.size, sharing.slices)
        self.launch(
            function,
            pointers.buffer_info()[0],
            numbers.buffer_info()[0],
            (batch.steps, batch.data.size(-1) - self.plan.gaps, batch.size, *flags),
            sharing,
            0 if sizes is None else sizes.data_ptr(),
            0 if offsets is None else offsets.data_ptr(),
            0 if bounds is None else bounds.data_ptr(),
        )

    def launch(
        self,
        function: Any,
        pointers: int,
        constants: int,
        numbers: tuple[int, ...],
        sharing: Sharing,
        sizes: int = 0,
        offsets: int = 0,
        bounds: int = 0,
    ) -> None:
        """Call a function of the kernel, with addresses of what it reads.

        Args:
            function: that of a pass.
            pointers: the addresses of all memory, in the order of the source's slots.
            constants: the numbers of the step.
            numbers: ``sequence_t``'s in the emitted code, from T to packed.
            sharing: how threads share the sequence.
            sizes: the number of sequences that run at each step; 0: all do.
            offsets: the first rows of the steps.
            bounds: the first sequences of the slices; 0: all have as many.
        """
        widths, blocks = self.widths.buffer_info()[0], self.products.blocks
        team = Team() if sharing.chunk else None
        given = array(
            "q",
            (
                *(pointers, constants, sizes, offsets, widths, blocks, *numbers),
                *(sharing.chunk, self.products.panel, team.address if team else 0, bounds),
            ),
        )
        start = time.perf_counter() if sharing.trial else 0.0
        share(function, given.buffer_info()[0], sharing.slices)
        if sharing.trial and not (team and team.parted):
            each = (time.perf_counter() - start) / sharing.rows
            sharing.trial.took(bool(sharing.chunk), each)
        if team is not None:
            self.sharing.learn(team.parted)
