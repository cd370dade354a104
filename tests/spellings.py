"""Every operation, in every way in which a step may spell it, as the text of cells."""

from __future__ import annotations

import builtins
import re
from dataclasses import dataclass

import torch
from torch import Tensor

from torchrecurrent.engine.ir.operation import Operation
from torchrecurrent.engine.ir.operations import FUNCTIONS

ROWS = {row.name: row for row in FUNCTIONS.values()}
#: The arguments of some calls; x, h and s are tensors.
CALLS: dict[str, list[list[str]]] = {
    "mul": [["x", "h"], ["x", "h > s"], ["x", "0.5"]],
    "pow": [["x", str(p)] for p in (0, 1, 2, 3, 4, 5, 0.5, 1.5, -1, -2, -3, -0.5, -1.7, "h")],
    "where": [
        ["x > h", "x", "s"],
        ["(x < 1) & ~(h < s)", "x", "2.0"],
        ["(x < 1) | (h != s)", "s", "h"],
    ],
    "logical_and": [["x > 0", "h > s"]],
    "logical_or": [["x > 0", "h > s"]],
    "softplus": [["x"], ["x", "2.0"], ["x", "beta=0.5"]],
    "full_like": [["x", "2.5"]],
    "clamp": [
        *(["x", "-0.5", "1.5"], ["x", "min=0"], ["x", "max=1"], ["x", "1", "-1"]),
        *(["x", "h"], ["x", "min=h", "max=s"]),
    ],
    "clamp_min": [["x", "1"]],
    "clamp_max": [["x", "1"]],
    "masked_fill": [["x", "h > s", "2.0"]],
    "lerp": [["x", "h", "0.25"], ["x", "h", "0.75"], ["x", "h", "s"]],
    "leaky_relu": [["x"], ["x", "0.5"], ["x", "negative_slope=-2.0"]],
    "threshold": [["x", "1.0", "2.0"]],
    "elu": [["x"], ["x", "0.5"]],
    "celu": [["x"], ["x", "0.5"]],
    "gelu": [["x"], ["x", 'approximate="tanh"']],
    "softshrink": [["x"], ["x", "1.5"]],
    "hardshrink": [["x"], ["x", "1.5"]],
    "hardtanh": [["x"], ["x", "-0.5", "2.0"]],
}
#: Python's operators and functions.
PYTHON = {
    "add": "{} + {}",
    "sub": "{} - {}",
    "mul": "{} * ({})",
    "div": "{} / {}",
    "pow": "{} ** {}",
    "neg": "-{}",
    "positive": "+{}",
    "abs": "abs({})",
    "eq": "{} == {}",
    "ne": "{} != {}",
    "lt": "{} < {}",
    "gt": "{} > {}",
    "le": "{} <= {}",
    "ge": "{} >= {}",
    "logical_and": "({}) & ({})",
    "logical_or": "({}) | ({})",
    "logical_not": "~({})",
}


@dataclass(frozen=True)
class Call:
    """One way to call an operation."""

    row: Operation
    args: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.row.name}({', '.join(self.args)})"

    def spellings(self) -> list[str]:
        """Expressions that all mean it; the first is taken where one suffices."""
        found = []
        for name in (self.row.name, *self.row.aliases):
            for module in ("torch", "functional", "torch.nn.functional"):
                if hasattr(_MODULES[module], name):
                    found.append(f"{module}.{name}({', '.join(self.args)})")
                    if not hasattr(builtins, name):
                        found.append(f"{name}({', '.join(self.args)})")
            if hasattr(Tensor, name):
                rest = list(self.args)
                found.append(f"({rest.pop(self.row.receiver)}).{name}({', '.join(rest)})")
        if self.row.name in PYTHON:
            found.append(PYTHON[self.row.name].format(*self.args))
        within = "{}"
        if self.row.compares:  # a state is a number
            within = "torch.where({}, x, s)"
        elif self.row.name.endswith("_like") or self.args[-1] == "0":  # and depends on something
            within = "torch.where(h > s, {}, x)"
        return [within.format(each) for each in dict.fromkeys(found)]


_MODULES = {
    "torch": torch,
    "functional": torch.nn.functional,
    "torch.nn.functional": torch.nn.functional,
}


def _calls(row: Operation) -> list[Call]:
    if row.name in CALLS:
        return [Call(row, tuple(args)) for args in CALLS[row.name]]
    required = [each for each in row.signature.parameters.values() if each.default is each.empty]
    names = zip("xhs", required, strict=False)
    args = ["x > 0" if k in row.conditions else name for k, (name, _) in enumerate(names)]
    return [Call(row, tuple(args))]


EVERY = [call for row in ROWS.values() for call in _calls(row)]
#: Calls whose kernels are compiled together.
GROUP = 17


def source() -> str:
    """A cell for each spelling of each call, and one for each group of calls."""
    free = [n for n in FUNCTIONS if hasattr(torch, n) and not hasattr(builtins, n)]
    text = (
        "import torch\nfrom torch import Tensor\nfrom torch.nn import functional\n"
        "from torchrecurrent import BaseRecurrentCell\n"
        "from torchrecurrent.roles import Input, Projected, State\n"
        f"from torch import {', '.join(free)}\n"
    )
    others = [n for n in FUNCTIONS if hasattr(torch.nn.functional, n) and n not in free]
    text += f"from torch.nn.functional import {', '.join(others)}\n"
    for k, call in enumerate(EVERY):
        for j, spelling in enumerate(call.spellings()):
            text += (
                f"\n\nclass Call{k}Spelling{j}(BaseRecurrentCell):\n    @staticmethod\n"
                "    def step(h: State, s: State, x: Input) -> tuple[Tensor, Tensor]:\n"
                f"        return {spelling}, s\n"
            )
    for start in range(0, len(EVERY), GROUP):
        here = range(start, min(start + GROUP, len(EVERY)))
        states = ", ".join(f"x{k}: State, h{k}: State, s{k}: State" for k in here)
        results = []
        for k in here:
            own = re.sub(r"\b([xhs])\b", rf"\g<1>{k}", EVERY[k].spellings()[0])
            results.append(f"{own}, h{k}, s{k}")
        tensors = ", ".join(["Tensor"] * (1 + 3 * len(here)))
        text += (
            f"\n\nclass Group{start}(BaseRecurrentCell):\n    @staticmethod\n"
            f"    def step(z: State, {states}, n: Projected) -> tuple[{tensors}]:\n"
            f"        return n, {', '.join(results)}\n"
        )
    return text
