"""Starts Triton kernels: which programs there are, and what they are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from .emit_triton import TritonSource
from .plan import Plan
from .triton_load import interpreted, load_text

__all__ = ["Grid"]

#: In the interpreter, where several programs should meet at a small size too.
_FEW_LANES, _FEW_UNITS = 32, 8


class Grid:
    """The kernels of a plan, loaded when the first of them starts."""

    def __init__(self, plan: Plan, source: TritonSource) -> None:
        self._plan, self._source = plan, source

    def launch(
        self,
        name: str,
        tensors: Mapping[str, Tensor],
        rows: int,
        numbers: Sequence[object],
        constants: Sequence[float],
        flags: Mapping[str, object],
        warps: int,
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
        """
        widths = {f"w{k}": width for k, width in enumerate(self._plan.widths)}
        data = tensors["X"]
        for spec in self._source.kernels[name]:
            units = self._plan.widths[spec.place]
            tall, wide = tile(rows, units, warps * _lanes(data.element_size()))
            function: Any = load_text(self._source.text)[spec.name]
            function[(-(-rows // tall), -(-units // wide))](
                *(tensors[slot] for slot in spec.slots),
                *numbers,
                *constants,
                **widths,
                I=data.size(-1),
                **flags,
                ROWS=tall,
                BLOCK=wide,
                num_warps=max(1, min(warps, tall * wide // 32)),
            )


def _lanes(itemsize: int) -> int:
    """Units of a warp: a thread loads four bytes at least, or nothing is loaded ahead."""
    return 32 * max(1, 4 // itemsize)


def tile(rows: int, units: int, lanes: int) -> tuple[int, int]:
    """Sequences and units of a program, both powers of two."""
    widest = lanes
    if interpreted():
        lanes, widest = _FEW_LANES, _FEW_UNITS
    wide = min(widest, 1 << (units - 1).bit_length())
    return min(lanes // wide, 1 << (rows - 1).bit_length()), wide
