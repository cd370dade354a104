"""Parameters as the kernels want them, and the gradients that they get back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from .plan import Plan

__all__ = ["Dense", "Parameters"]

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Dense:
    """Rows of a parameter that the loop multiplies with."""

    name: str
    weight: str
    start: int
    rows: int
    heads: int  # blocks on the diagonal

    def of(self, weights: Weights) -> Tensor:
        return weights[self.weight][self.start : self.start + self.rows]


class Parameters:
    """Where a plan's kernels and vectors lie in a cell's parameters, worked out once."""

    def __init__(self, plan: Plan, itemsize: int) -> None:
        self.itemsize = itemsize
        inputs = list(plan.columns.values())[: plan.inputs]
        #: What the loop multiplies with: the input's weight, those of products, those of maps.
        self.dense = [Dense("input", "weight_ih", 0, plan.units(inputs), 1)] if inputs else []
        for k, each in enumerate(plan.products):
            rows = plan.units(plan.columns[name] for name in each.columns)
            self.dense.append(Dense(str(k), each.weight, each.start, rows, each.heads))
        for one in plan.maps:
            if one.weight is not None:
                rows = plan.units(plan.mapped[name] for name in one.names)
                self.dense.append(Dense(f"map.{one.name}", one.weight, one.start, rows, one.heads))
        self.vectors = [
            (f"v.{leaf}.{k}", name, start * itemsize)
            for leaf, vector in plan.vectors.items()
            for k, (name, start) in enumerate(vector.sources)
        ]

    def addresses(self, weights: Weights) -> dict[str, int]:
        """Of all of them as they are, by the kernel's names."""
        starts = {name: weight.data_ptr() for name, weight in weights.items()}
        found = {slot: starts[name] + offset for slot, name, offset in self.vectors}
        for each in self.dense:
            row = weights[each.weight].size(1) * self.itemsize
            found[f"W.{each.name}"] = starts[each.weight] + each.start * row
        return found

    def packed(
        self, weights: Weights, panel: int, needs_data: bool = True, transposed: bool = False
    ) -> dict[str, Tensor]:
        """The kernels as the panels that gemm.c reads."""
        letter = "B" if transposed else "W"
        return {
            f"{letter}.{each.name}": pack(each.of(weights), each.heads, panel, transposed)
            for each in self.dense
            if needs_data or each.name != "input"
        }


def pack(weight: Tensor, heads: int, panel: int, transposed: bool = False) -> Tensor:
    """A kernel of units x inner as the panels that gemm.c reads, block by block."""
    blocks = weight.view(heads, -1, weight.size(1))
    if transposed:
        blocks = blocks.transpose(1, 2)
    units = blocks.size(1)
    panels = -(-units // panel)
    if panels * panel != units:
        blocks = functional.pad(blocks, (0, 0, 0, panels * panel - units))
    panelled: Tensor = blocks.unflatten(1, (panels, panel))
    return panelled.transpose(2, 3).contiguous()
