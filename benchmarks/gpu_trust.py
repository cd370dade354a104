"""Lets the GPU's kernels of every cell prove themselves: ``python -m benchmarks.gpu_trust``.

Each form of each kernel is tried as at its first use (:mod:`torchrecurrent.engine.run.trust`).
The list of what passed, and of what did not, is written as JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import cast

import torch

from torchrecurrent.catalog.listing import cells
from torchrecurrent.engine.disk import verdicts
from torchrecurrent.engine.gpu.hoisted import is_elementwise
from torchrecurrent.engine.gpu.kernel import TritonKernel
from torchrecurrent.engine.program.form import Form
from torchrecurrent.engine.run.kernels import Fused, fused
from torchrecurrent.engine.run.trust import doubt

from .pool import spread

#: I and H: no multiples of a tile.
INPUT, HIDDEN = 24, 40
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float64": torch.float64}


def forms_of(kernel: TritonKernel, found: Fused) -> list[Form]:
    """Return all forms in which a kernel can run."""
    made: list[Form] = []
    for keep in (True, False):
        for each in kernel.any_forms(keep):
            made += [each, replace(each, ragged=True)]
        if not is_elementwise(found.plan):
            made.append(Form(keep, replay=True))
    return made


def doubts(dtype: torch.dtype, device: torch.device, name: str) -> dict[str, str]:
    """Return why a cell's kernel can't be trusted, by form; empty: it can."""
    kind = cells()[name]
    try:
        cell = kind(INPUT, HIDDEN, dtype=dtype, device=device)
    except ValueError:  # it has to be as wide as its input
        cell = kind(HIDDEN, HIDDEN, dtype=dtype, device=device)
    found = fused(cell)
    if isinstance(found, str):
        return {"all": found}
    kernel = cast("TritonKernel", found.kernel(dtype, device.type))
    return {
        str(form): doubt(cell, found, kernel, dtype, device, [form])
        for form in forms_of(kernel, found)
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_trust", description=__doc__)
    parser.add_argument("--jobs", type=int, default=4, help="processes (default: 4)")
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=["float32", "bfloat16"])
    parser.add_argument("--cells", nargs="+", metavar="NAME", help="some cells only")
    parser.add_argument("--out", type=Path, default=Path("build/gpu_trust.json"))
    chosen = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        print("benchmarks.gpu_trust needs a GPU, and there is none", file=sys.stderr)
        return 2
    passed, failed = 0, 0
    for dtype in chosen.dtypes:
        task = partial(doubts, DTYPES[dtype], torch.device("cuda"))
        for name, found in spread(task, chosen.cells or list(cells()), chosen.jobs):
            each = {"all": found} if isinstance(found, str) else found
            wrong = {form: reason for form, reason in each.items() if reason}
            passed, failed = passed + len(each) - len(wrong), failed + len(wrong)
            for form, reason in wrong.items():
                print(f"{name}, {dtype}, {form}: {reason}", flush=True)
    print(f"{passed} forms of kernels have passed, {failed} have not")
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    known = {digest: asdict(each) for digest, each in verdicts.every().items()}
    chosen.out.write_text(json.dumps(known, indent=1), encoding="utf-8")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
