"""Products that need not wait in the loop.

Those of a state that is the step before's input can be taken before it; maps that nothing but the
output needs, such as a readout, after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from torch import Tensor

from ..ir.graph import Leaf
from ..program.batch import Batch
from ..program.buffers import Before
from ..program.lower import Multiply, Program
from ..program.plan import Plan
from .products import apply

__all__ = ["add_lifted", "is_elementwise", "lifted_gradients"]


def is_elementwise(plan: Plan) -> bool:
    """Whether, such products apart, nothing in the loop joins one unit to another."""
    new = dict(zip(plan.states, plan.new_states, strict=True))
    leaves = [plan.graph.nodes[new[product.state]].leaf for product in plan.products]
    return _maps_read_out(plan) and all(leaf == Leaf("x", "input") for leaf in leaves)


def _maps_read_out(plan: Plan) -> bool:
    """Whether all maps are readouts, and the output needs no state from before the step."""
    if not plan.maps or plan.output is None:
        return not plan.maps

    def kinds(nodes: Iterable[int]) -> set[str]:
        leaves = [plan.graph.nodes[node].leaf for node in plan.graph.needed(nodes)]
        return {leaf.kind for leaf in leaves if leaf is not None}

    before = [*plan.new_states, *(each.argument for each in plan.maps)]
    return "m" not in kinds(before) and "s" not in kinds([plan.output])


def add_lifted(program: Program, batch: Batch, tensors: Mapping[str, Tensor]) -> None:
    """Bring all products of an elementwise plan into Z, for all steps at once."""
    for each in program.forward:
        if isinstance(each, Multiply) and isinstance(each.source.buffer, Before):
            z, first = each.into.of(tensors[each.into.buffer.name]), each.source.buffer.first
            apply(each, tensors, tensors[first.name], z[: batch.size])
            if batch.rows > batch.size:
                inputs = program.buffers.data.part(0).of(batch.data.flatten(0, -2))
                inputs = inputs[batch.previous_rows]
                later = None if each.factors is None else batch.sequence_rows[batch.size :]
                apply(each, tensors, inputs, z[batch.size :], later)


def lifted_gradients(program: Program, batch: Batch, tensors: Mapping[str, Tensor]) -> None:
    """Add what these products pass on to the gradients of the input and of the first states."""
    for each in program.backward:
        if isinstance(each, Multiply) and each.adds:  # not one of a map
            dz = each.source.of(tensors[each.source.buffer.name])
            passed = dz.new_empty(batch.rows, each.into.units)
            rows = None if each.factors is None else batch.sequence_rows
            apply(replace(each, adds=False), tensors, dz, passed, rows)
            tensors[each.into.buffer.name] += passed[: batch.size]
            d_data = program.buffers.d_data
            data = d_data.part(0).of(tensors[d_data.name].view(batch.rows, -1))
            data[batch.previous_rows] += passed[batch.size :]
