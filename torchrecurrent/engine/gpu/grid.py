"""Starts Triton kernels: which programs there are, and what they are given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..program.plan import Plan
from .emit import TritonSource
from .load import interpreted, load_text
from .text import Spec

__all__ = ["Cut", "Grid", "cut_into", "tallest"]

#: In the interpreter, where several programs should meet at a small size too.
_FEW_LANES, _FEW_UNITS = 32, 8


@dataclass(frozen=True)
class _Limits:
    """When steps are cut into chunks. Chunks cost a second reading of what the loop reads."""

    programs: int  # that fill a multiprocessor
    fewest: int  # chunks that are worth it
    most: int  # each applies those before it
    shortest: int  # steps of a chunk


#: Of a GPU: to be measured. In the interpreter short sequences are to be cut too.
_GPU, _INTERPRETER = _Limits(8, 3, 16, 32), _Limits(3, 2, 3, 2)


@dataclass(frozen=True)
class Cut:
    """How a sequence is cut: the steps of each chunk but the last, and the number of chunks."""

    length: int
    chunks: int


#: Bytes that a multiprocessor has to have in flight: what its share of the memory's bandwidth moves
#: within the memory's latency (H100: 3 TB/s, 700 ns, 132 of them). Measured there with programs of
#: 128 bytes a load, about four to a multiprocessor: twelve steps instead of six bring a loop with
#: few loads from .46 to .63 of a copy's bandwidth, and take one with eight from .59 to .56.
_IN_FLIGHT, _PROGRAMS = 16384, 4
_FEWEST_STAGES, _MOST_STAGES = 6, 12

_forced: ContextVar[int | None] = ContextVar("torchrecurrent_chunks", default=None)


@contextmanager
def cut_into(chunks: int) -> Iterator[None]:
    """Cut all sequences that can be cut into so many chunks, in a ``with`` block."""
    token = _forced.set(chunks)
    try:
        yield
    finally:
        _forced.reset(token)


class Grid:
    """The kernels of a plan, loaded when the first of them starts."""

    def __init__(self, plan: Plan, source: TritonSource) -> None:
        self._plan, self._source = plan, source
        #: By all that a kernel is compiled anew for: those that have run.
        self._loaded: set[object] = set()

    def kernels(self, name: str) -> list[Spec] | None:
        """Return the kernels of a part; ``None``: the plan has no such part."""
        return self._source.kernels.get(name)

    def cut(self, name: str, steps: int, rows: int, device: torch.device) -> Cut:
        """As many chunks as the GPU has room for, if the part can be cut at all.

        Args:
            name: of the part.
            steps: of the longest sequence.
            rows: how many sequences there are.
            device: where they are.
        """
        if self.kernels(f"{name} ends") is None:
            return Cut(steps, 1)
        if (forced := _forced.get()) is not None:
            length = -(-steps // forced)
            return Cut(length, -(-steps // length))
        limits, room = _INTERPRETER, 1
        if device.type == "cuda":
            limits, room = _GPU, torch.cuda.get_device_properties(device).multi_processor_count
        units = max(self._plan.widths[spec.place] for spec in self._source.kernels[name])
        tall, wide = tile(rows, units, _lanes(4))
        programs = 1 if interpreted() else -(-rows // tall) * -(-units // wide)
        chunks = min(limits.programs * room // programs, limits.most, steps // limits.shortest)
        length = steps if chunks < limits.fewest else -(-steps // chunks)
        return Cut(length, -(-steps // length))

    def launch(
        self,
        name: str,
        tensors: Mapping[str, Tensor],
        rows: int,
        numbers: Sequence[object],
        constants: Sequence[float],
        flags: Mapping[str, object],
        warps: int,
        chunks: int = 1,
        loop: bool = False,
    ) -> None:
        """Start the kernels of one part of a step: one for each width.

        Args:
            name: of the part.
            tensors: by slot.
            rows: how many sequences there are.
            numbers: what comes after the pointers.
            constants: of the step.
            flags: what is constant to the compiler, besides the widths.
            warps: of a program. One alone has no others to wait for at each step; few leave
                programs for the whole GPU.
            chunks: that the steps are cut into.
            loop: whether it has a loop over the steps.
        """
        widths = {f"w{k}": width for k, width in enumerate(self._plan.widths)}
        data = tensors["X"]
        input_size = data.size(-1) - self._plan.gaps
        for spec in self._source.kernels[name]:
            units = self._plan.widths[spec.place]
            tall, wide = tile(rows, units, warps * _lanes(data.element_size()))
            options = {**flags, "ROWS": tall, "BLOCK": wide}
            if loop:
                options["STAGES"] = _stages(spec.loads, data.element_size())
            options["num_warps"] = max(1, min(warps, tall * wide // 32))
            # In float64 constants are part of the compiled code.
            compiled = tuple(constants) if data.dtype == torch.float64 else ()
            ragged = isinstance(numbers[0], Tensor)
            self._load((spec.name, input_size, ragged, compiled, *options.items()), data)
            function: Any = load_text(self._source.text)[spec.name]
            function[(-(-rows // tall), -(-units // wide), chunks)](
                *(tensors[slot] for slot in spec.slots),
                *numbers,
                *constants,
                **widths,
                I=input_size,
                # As it was by default up to Triton 3.9: the errors were measured with it.
                enable_fp_fusion=True,
                **options,
            )

    def _load(self, kernel: tuple[object, ...], data: Tensor) -> None:
        """Raise RuntimeError if a kernel is not loaded yet, and may not be loaded now.

        Args:
            kernel: all that it is compiled anew for.
            data: the input, on whose device it runs.
        """
        key = (data.device, *kernel)
        if key in self._loaded:
            return
        if data.is_cuda and torch.cuda.is_current_stream_capturing():
            raise RuntimeError(
                "a kernel can't be compiled or loaded while a CUDA graph is captured; call the "
                "layer once before in the same way: its shapes, with or without gradients"
            )
        self._loaded.add(key)


def _lanes(itemsize: int) -> int:
    """Units of a warp: a thread loads four bytes at least, or nothing is loaded ahead."""
    return 32 * max(1, 4 // itemsize)


def _stages(loads: int, itemsize: int) -> int:
    """Return how many steps' loads are in flight: enough for the memory's latency, within bounds.

    Args:
        loads: of a step, for each lane.
        itemsize: bytes of one.
    """
    program = _lanes(itemsize) * itemsize * max(1, loads)
    return min(max(_FEWEST_STAGES, -(-_IN_FLIGHT // (_PROGRAMS * program))), _MOST_STAGES)


def tallest(widths: Sequence[int], itemsize: int) -> int:
    """The most sequences that a program has, whichever kernel of a plan it runs."""
    return max(tile(1 << 30, units, 4 * _lanes(itemsize))[0] for units in widths)


def tile(rows: int, units: int, lanes: int) -> tuple[int, int]:
    """Sequences and units of a program, both powers of two."""
    widest = lanes
    if interpreted():
        lanes, widest = _FEW_LANES, _FEW_UNITS
    wide = min(widest, 1 << (units - 1).bit_length())
    return min(lanes // wide, 1 << (rows - 1).bit_length()), wide
