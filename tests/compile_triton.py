"""Compiles kernels for a GPU that need not be there, and prints how each loads; see test_triton."""

from __future__ import annotations

import json
import sys
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from torchrecurrent.engine.gpu.emit import NARROW, emit_triton
from torchrecurrent.engine.gpu.load import load_text
from torchrecurrent.engine.gpu.text import Spec, is_anywhere
from torchrecurrent.engine.program.build import make_plan

_TYPES = {torch.float32: "*fp32", torch.float64: "*fp64", torch.bfloat16: "*bf16"}
#: What is in the dtype of the computation whatever that of the tensors is.
_PRECISE = ("sum", "lost", "G", "G0", "F", "E")
_HOPPER = GPUTarget("cuda", 90, 32)


def compiled(cell: Any, dtype: torch.dtype) -> dict[str, int]:
    """By part of the step: how many loads of its machine code's source run ahead."""
    plan = make_plan(cell)
    source = emit_triton(plan, dtype)
    module = load_text(source.text)
    loads: dict[str, int] = {}
    for part, specs in source.kernels.items():
        for spec in specs:
            types, values = _arguments(module[spec.name], spec, plan.widths, dtype, part)
            aligned = {
                (k,): [["tt.divisibility", 16]]  # as torch's tensors
                for k, (name, kind) in enumerate(types.items())
                if kind[0] == "*" and not is_anywhere(spec.slots[int(name[1:])])
            }
            built = triton.compile(
                ASTSource(module[spec.name], types, values, aligned),
                target=_HOPPER,
                options={"num_warps": 1, "enable_fp_fusion": True},
            )
            assert built.asm["cubin"]
            loads[part] = loads.get(part, 0) + built.asm["ptx"].count("cp.async.c")  # .ca or .cg
    return loads


def _arguments(
    function: Any, spec: Spec, widths: tuple[int, ...], dtype: torch.dtype, part: str
) -> tuple[dict[str, str], dict[tuple[int], object]]:
    """The types of a kernel's arguments, and the values of those that are constant."""
    types: dict[str, str] = {}
    values: dict[tuple[int], object] = {}
    flags = {"KEEP": True, "STAGES": 6, "ROWS": 1, "BLOCK": 64}
    flags |= {"CHUNKED": True}
    for k, parameter in enumerate(function.params):
        name = parameter.name
        if name[0] == "p":
            slot = spec.slots[int(name[1:])].split(".")[0]
            precise = slot in _PRECISE or (slot == "B" and part.startswith("forward"))
            types[name] = "*fp32" if precise and dtype in NARROW else _TYPES[dtype]
        elif name[0] == "c" and dtype != torch.float64:
            types[name] = "fp32"
        elif parameter.is_constexpr or name in ("sizes", "offsets"):
            types[name] = "constexpr"
            values[k,] = flags.get(name)
            if name[0] == "w":
                values[k,] = widths[int(name[1:])]
            elif name[0] == "c":
                values[k,] = 0.5
        else:
            types[name] = "i32"
    return types, values


if __name__ == "__main__":
    from torchrecurrent.catalog.listing import cells

    found = {}
    for name in sys.argv[1:]:
        for dtype in _TYPES:
            found[f"{name} {dtype}"] = compiled(cells()[name](37, 64), dtype)
    print(json.dumps(found))
