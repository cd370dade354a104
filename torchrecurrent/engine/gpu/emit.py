"""Writes a plan as Triton kernels: the text of a Python module.

An elementwise recurrence is one kernel forward and one backward; one with products in its loop is
a kernel for each stretch between two products. float64 is computed in float64, all else in float32.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from ..program.lower import Program, lower
from ..program.plan import Plan
from .dense import carrying, emit_readouts, emit_steps
from .elementwise import emit_loops
from .hoisted import is_elementwise
from .text import Spec

__all__ = ["NARROW", "TritonSource", "computed_in", "emit_triton", "lowered"]

#: Stored as they are, computed in float32.
NARROW = (torch.bfloat16, torch.float16)
_HEADER = """\
import triton
import triton.language as tl
"""
_IMPORT = """
from torchrecurrent.engine.gpu.math import (
    {functions},
)
"""


@dataclass(frozen=True)
class TritonSource:
    """The text, and the kernels in it by the part of the step that they compute."""

    text: str
    kernels: Mapping[str, list[Spec]]


def computed_in(dtype: torch.dtype) -> torch.dtype:
    """The dtype of states and sums while a sequence of ``dtype`` runs."""
    return torch.float32 if dtype in NARROW else dtype


def lowered(plan: Plan, dtype: torch.dtype) -> Program:
    """The program of a plan on the GPU, for tensors of one dtype."""
    program = lower(plan, apart=True)
    return carrying(program) if dtype in NARROW and not is_elementwise(plan) else program


def emit_triton(plan: Plan, dtype: torch.dtype) -> TritonSource:
    """The Triton of a plan for tensors of one dtype."""
    program, real = lowered(plan, dtype), computed_in(dtype)
    if is_elementwise(plan):
        text, kernels = emit_loops(program, real)
        if plan.maps:
            more, others = emit_readouts(program, real)
            text, kernels = f"{text}\n\n{more}", kernels | others
    else:
        text, kernels = emit_steps(program, real)
    used = sorted(set(re.findall(r"\btr_\w+", text)))
    imported = _IMPORT.format(functions=",\n    ".join(used)) if used else ""
    return TritonSource(f"{_HEADER}{imported}\n\n{text}", kernels)
