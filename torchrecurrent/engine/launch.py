"""Runs compiled kernels: fills in their pointers, and sums up the gradients of the weights."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from .emit_c import Real, Source, emit_c
from .graph import Leaf
from .plan import Plan
from .threads import share

__all__ = ["REALS", "Kernel"]

#: The C type of a dtype.
REALS: dict[torch.dtype, Real] = {torch.float32: "float", torch.float64: "double"}
#: Below this many numbers a second thread costs more than it brings.
_WORTH_A_THREAD = 1 << 14
_LARGE_PAGE, _MADV_HUGEPAGE = 1 << 21, 14


@cache
def _madvise() -> Any:
    """Linux's call that asks for large pages; ``None`` elsewhere."""
    if sys.platform != "linux":
        return None
    return getattr(ctypes.CDLL(None, use_errno=True), "madvise", None)


def _fresh(like: Tensor, rows: int, columns: int) -> Tensor:
    """Memory that nobody wrote to yet, in large pages if it is much.

    With small ones a third of a training step is the kernel's handing out of pages.
    """
    tensor = like.new_empty(rows, columns)
    size, advise = tensor.numel() * tensor.element_size(), _madvise()
    if advise is not None and size >= 2 * _LARGE_PAGE:
        start = -(-tensor.data_ptr() // _LARGE_PAGE) * _LARGE_PAGE
        end = (tensor.data_ptr() + size) // _LARGE_PAGE * _LARGE_PAGE
        advise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), ctypes.c_int(_MADV_HUGEPAGE))
    return tensor


def _offsets(sizes: Tensor) -> Tensor:
    return sizes.cumsum(0) - sizes


class _Sequence(ctypes.Structure):
    """``sequence_t`` of the emitted code."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("p", "c", "sizes", "offsets")),
        *((name, ctypes.c_int64) for name in ("T", "I", "H", "batch", "keep")),
    )


class _Gradient(ctypes.Structure):
    """``gradient_t`` of gemm.h."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("rows", "columns", "units", "lda", "ldb", "ldc")),
        *((name, ctypes.c_void_p) for name in ("a", "b", "c", "work")),
    )


class Kernel:
    """A plan in one precision, compiled."""

    def __init__(self, plan: Plan, dtype: torch.dtype) -> None:
        from .cache import load  # its file locks do not exist on Windows

        self.plan = plan
        self.source: Source = emit_c(plan, REALS[dtype])
        library = load(self.source.text)
        self._forward, self._backward = library.forward, library.backward
        library.panel_width.restype = ctypes.c_int64
        self._panel = int(library.panel_width())
        library.gradient_work.restype = ctypes.c_int64
        self._gradient, self._gradient_work = library.gradient, library.gradient_work

    def forward(
        self,
        data: Tensor,
        sizes: Tensor,
        weights: Mapping[str, Tensor],
        states: Sequence[Tensor],
        constants: Tensor,
        keep: bool,
    ) -> dict[str, Tensor]:
        """All tensors that the sequence makes, under the names of the kernel's slots.

        Without ``keep`` there is no backward pass: only the output has a row for each step.
        """
        plan = self.plan
        rows, (batch, width) = data.size(0), states[0].shape
        kept = rows if keep else batch
        tensors = {"X": data, "Z": _fresh(data, kept, len(plan.columns) * width)}
        for k, (name, state) in enumerate(zip(plan.states, states, strict=True)):
            is_output = k == 0 and plan.output is None
            tensors[f"S0.{name}"] = state
            tensors[f"S.{name}"] = _fresh(data, rows, width) if keep or is_output else state.clone()
        for each in plan.maps:
            tensors |= {f"{kind}.{each.name}": _fresh(data, kept, width) for kind in ("V", "M")}
        if plan.output is not None:
            tensors["Y"] = _fresh(data, rows, width)
        parts = self._vectors(weights, width)
        if plan.inputs:
            parts["W.input"] = self._pack(weights["weight_ih"])
        for key, weight in self._dense(weights, width):
            parts[f"W.{key}"] = self._pack(weight)
        self._run(self._forward, tensors | parts, sizes, constants, keep)
        return tensors

    def backward(
        self,
        tensors: Mapping[str, Tensor],
        sizes: Tensor,
        weights: Mapping[str, Tensor],
        constants: Tensor,
        grad_output: Tensor,
        grad_states: Sequence[Tensor],
        needs_data: bool,
    ) -> tuple[Tensor, dict[str, Tensor], list[Tensor]]:
        """Gradients of the data, the weights and the first states; overwrites Z and grad_states."""
        plan, data = self.plan, tensors["X"]
        rows, width = data.size(0), grad_output.size(1)
        slices, count = self._slices(tensors, sizes), len(plan.learned)
        work = {"dY": grad_output, "step": data.new_empty(slices, count, width)}
        work["sum"] = data.new_zeros(slices, count, width)
        work |= {f"G.{name}": g for name, g in zip(plan.states, grad_states, strict=True)}
        for each in plan.maps:
            work[f"dM.{each.name}"] = _fresh(data, rows, width)
            work[f"dV.{each.name}"] = torch.empty_like(grad_states[0])
        raw = Leaf("x", "input") in plan.gradients
        grad_data = _fresh(data, *data.shape) if (plan.inputs and needs_data) or raw else None
        if grad_data is not None:
            work["dX"] = grad_data
        parts = self._vectors(weights, width)
        if plan.inputs and needs_data:
            parts["B.input"] = self._pack(weights["weight_ih"].t())
        for key, weight in self._dense(weights, width):
            parts[f"B.{key}"] = self._pack(weight.t())
        self._run(self._backward, {**tensors, **work, **parts}, sizes, constants, True, slices)
        grads = self._weight_gradients(tensors, work, sizes, weights, width)
        return data.new_zeros(()) if grad_data is None else grad_data, grads, list(grad_states)

    def _pack(self, weight: Tensor) -> Tensor:
        """A kernel of units x inner as the panels that gemm.h reads."""
        units, inner = weight.shape
        panels = -(-units // self._panel)
        padded = functional.pad(weight, (0, 0, 0, panels * self._panel - units))
        return padded.view(panels, self._panel, inner).transpose(1, 2).contiguous()

    def _dense(self, weights: Mapping[str, Tensor], width: int) -> list[tuple[str, Tensor]]:
        """The recurrent kernels that the loop multiplies with, under their names in slots."""
        plan = self.plan
        dense = [
            (str(k), weights[each.weight][each.start : each.start + each.count * width])
            for k, each in enumerate(plan.products)
        ]
        maps = [
            (each.name, weights[each.weight][each.start : each.start + width]) for each in plan.maps
        ]
        return dense + maps

    def _vectors(self, weights: Mapping[str, Tensor], width: int) -> dict[str, Tensor]:
        """The numbers for each unit; biases that are always added are added here."""
        found: dict[str, Tensor] = {}
        for leaf, sources in self.plan.vectors.items():
            first, *rest = (weights[name][start : start + width] for name, start in sources)
            for other in rest:
                first = first + other
            found[f"v.{leaf}"] = first
        return found

    def _weight_gradients(
        self,
        tensors: Mapping[str, Tensor],
        work: Mapping[str, Tensor],
        sizes: Tensor,
        weights: Mapping[str, Tensor],
        width: int,
    ) -> dict[str, Tensor]:
        """One product over all time steps for each kernel, one sum for each bias."""
        plan, z, data = self.plan, tensors["Z"], tensors["X"]
        grads = {name: torch.zeros_like(weight) for name, weight in weights.items()}
        if plan.inputs:
            self._add_product(z[:, : plan.inputs * width], data, grads["weight_ih"])
        for dense in plan.products:
            part = z[:, dense.column * width : (dense.column + dense.count) * width]
            total = grads[dense.weight][dense.start : dense.start + dense.count * width]
            self._against_previous(part, dense.state, tensors, sizes, total)
        for each in plan.maps:
            total = grads[each.weight][each.start : each.start + width]
            self._add_product(work[f"dM.{each.name}"], tensors[f"V.{each.name}"], total)
        for k, leaf in enumerate(plan.learned):
            for name, start in plan.vectors[leaf]:
                grads[name][start : start + width] += work["sum"][:, k].sum(0)
        return grads

    def _slices(self, tensors: Mapping[str, Tensor], sizes: Tensor) -> int:
        """How many threads share the batch."""
        work = tensors["X"].size(0) * tensors["Z"].size(1)
        return max(1, min(torch.get_num_threads(), int(sizes[0]), work // _WORTH_A_THREAD))

    def _run(
        self,
        function: Any,
        tensors: Mapping[str, Tensor],
        sizes: Tensor,
        constants: Tensor,
        keep: bool,
        slices: int | None = None,
    ) -> None:
        slots = self.source.slots
        addresses = [tensors[name].data_ptr() if name in tensors else None for name in slots]
        pointers = (ctypes.c_void_p * max(1, len(slots)))(*addresses)
        offsets = _offsets(sizes)
        width = tensors[f"S0.{self.plan.states[0]}"].size(1)
        batch, count = int(sizes[0]), slices or self._slices(tensors, sizes)
        arguments = _Sequence(
            ctypes.addressof(pointers),
            *(tensor.data_ptr() for tensor in (constants, sizes, offsets)),
            sizes.size(0),
            tensors["X"].size(1),
            width,
            batch,
            keep,
        )
        share(function, arguments, count)

    def _against_previous(
        self,
        part: Tensor,
        state: str,
        tensors: Mapping[str, Tensor],
        sizes: Tensor,
        total: Tensor,
    ) -> None:
        """Add to ``total`` the sum over all steps of ``part`` times the state before the step."""
        first, history = tensors[f"S0.{state}"], tensors[f"S.{state}"]
        batch = first.size(0)
        self._add_product(part[:batch], first, total)
        if part.size(0) == batch:
            return
        if int(sizes[-1]) == batch:  # all sequences are equally long
            before = history[: part.size(0) - batch]
        else:
            steps = torch.repeat_interleave(torch.arange(sizes.size(0)), sizes)[batch:]
            offsets = _offsets(sizes)
            rows = torch.arange(batch, part.size(0)) - offsets[steps] + offsets[steps - 1]
            before = history[rows]
        self._add_product(part[batch:], before, total)

    def _add_product(self, a: Tensor, b: Tensor, total: Tensor) -> None:
        """Add a' b to ``total``, its rows shared among threads."""
        rows, units, columns = a.size(0), a.size(1), b.size(1)
        count = max(1, min(torch.get_num_threads(), rows * units * columns >> 21))
        size = self._gradient_work(ctypes.c_int64(columns))
        work = a.new_empty(count, size)
        strides = (tensor.stride(0) for tensor in (a, b, total))
        addresses = (tensor.data_ptr() for tensor in (a, b, total, work))
        share(self._gradient, _Gradient(rows, columns, units, *strides, *addresses), count)
