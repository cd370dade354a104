"""How a sequence is computed. ``reference`` defines the result; other paths must agree with it.

The names below are all that the rest of the package imports from this folder. A module is
imported when one of its names is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ..closest import unknown_attribute

if TYPE_CHECKING:
    from .ir.operation import Operation
    from .ir.operations import FUNCTIONS
    from .ir.trace import UntraceableError
    from .modules.declared import Declared, declared
    from .program.given import Given
    from .program.kind import recurrence_of
    from .run.again import Remembered, are_plain, nobody_sees, step_again
    from .run.ahead import compile_kernels, prepare
    from .run.call import run_sequence, run_step
    from .run.calling import Calling, calling
    from .run.choice import Backend, backend
    from .run.dispatch import explain, kernel_source, no_kernel, sees_to
    from .run.gaps import join_gaps
    from .run.modules import Traced, traced
    from .run.onnx import exporting_to_onnx
    from .run.reference import EffectiveParameters, Stepper, project, update
    from .run.snapshot import Snapshot
    from .run.torch_private import same_tensors

_modules = {
    "FUNCTIONS": "ir.operations",
    "Given": "program.given",
    "Operation": "ir.operation",
    "UntraceableError": "ir.trace",
    "compile_kernels": "run.ahead",
    **dict.fromkeys(("Declared", "declared"), "modules.declared"),
    "exporting_to_onnx": "run.onnx",
    "join_gaps": "run.gaps",
    "prepare": "run.ahead",
    "recurrence_of": "program.kind",
    "run_sequence": "run.call",
    "run_step": "run.call",
    **dict.fromkeys(("Remembered", "are_plain", "nobody_sees", "step_again"), "run.again"),
    "Snapshot": "run.snapshot",
    "same_tensors": "run.torch_private",
    **dict.fromkeys(("explain", "kernel_source", "no_kernel", "sees_to"), "run.dispatch"),
    **dict.fromkeys(("Calling", "calling"), "run.calling"),
    **dict.fromkeys(("Traced", "traced"), "run.modules"),
    **dict.fromkeys(("Backend", "backend"), "run.choice"),
    **dict.fromkeys(("EffectiveParameters", "Stepper", "project", "update"), "run.reference"),
}

__all__ = [
    "FUNCTIONS",
    "Backend",
    "Calling",
    "Declared",
    "EffectiveParameters",
    "Given",
    "Operation",
    "Remembered",
    "Snapshot",
    "Stepper",
    "Traced",
    "UntraceableError",
    "are_plain",
    "backend",
    "calling",
    "compile_kernels",
    "declared",
    "explain",
    "exporting_to_onnx",
    "join_gaps",
    "kernel_source",
    "no_kernel",
    "nobody_sees",
    "prepare",
    "project",
    "recurrence_of",
    "run_sequence",
    "run_step",
    "same_tensors",
    "sees_to",
    "step_again",
    "traced",
    "update",
]


if not TYPE_CHECKING:  # checkers see the names above, and report any other themselves

    def __getattr__(name: str) -> Any:
        if name not in _modules:
            raise unknown_attribute(__name__, name, __all__)
        value = getattr(importlib.import_module(f"{__name__}.{_modules[name]}"), name)
        globals()[name] = value
        return value
