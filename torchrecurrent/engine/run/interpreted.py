"""Computes a plan by torch's operations, step by step: what its kernel computes.

A module from outside has no declared step that could run with given parameters; its plan can.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ..ir.graph import Leaf, Node
from ..program.plan import Plan, Product, Vector
from .reference import EffectiveParameters, States

__all__ = ["Interpreted"]


class Interpreted:
    """A :class:`~.reference.Stepper` of a plan without numbers that are passed at each call.

    Args:
        plan: of the step.
        parameters: the kernel's, by name.
    """

    def __init__(self, plan: Plan, parameters: EffectiveParameters) -> None:
        self._plan = plan
        self._parameters = {name: each for name, each in parameters.items() if each is not None}
        self._needed = plan.graph.needed(
            [
                *plan.new_states,
                *([] if plan.output is None else [plan.output]),
                *(each.argument for each in plan.maps),
            ]
        )

    def project(self, input: Tensor) -> tuple[Tensor, ...]:
        if not self._plan.inputs:
            return (input,)
        return functional.linear(input, self._parameters["weight_ih"]), input

    def update(
        self, inputs: Sequence[Tensor], states: States | None, parameters: EffectiveParameters
    ) -> tuple[Tensor, States]:
        assert states is not None
        plan, found = self._plan, {}
        for name, value in zip(plan.states, states, strict=True):
            found[Leaf("s", name)] = value
        found[Leaf("x", "input")] = inputs[-1]
        names = list(plan.columns)[: plan.inputs]
        if names:
            found |= self._parts("z", names, plan.columns, inputs[0])
        for product in plan.products:
            value = self._multiplied(product, found[Leaf("s", product.state)])
            for leaf, part in self._parts("z", product.columns, plan.columns, value).items():
                found[leaf] = found[leaf] + part if product.adds else part
        for name, vector in plan.vectors.items():
            found[Leaf("v", name)] = self._vector(name, vector)
        values: dict[int, Tensor] = {}
        maps = {name: each for each in plan.maps for name in each.names}
        for index in self._needed:
            node = plan.graph.nodes[index]
            if node.leaf is not None and node.leaf.kind == "m" and node.leaf not in found:
                each = maps[node.leaf.name]
                argument = values[each.argument]
                if each.across is not None:
                    width = plan.widths[plan.mapped[each.name]]
                    found[node.leaf] = each.across.value(argument, width)
                else:
                    assert each.weight is not None
                    rows = sum(plan.widths[plan.mapped[name]] for name in each.names)
                    weight = self._parameters[each.weight][each.start : each.start + rows]
                    value = functional.linear(argument, weight)
                    found |= self._parts("m", each.names, plan.mapped, value)
            values[index] = _value(node, values, found, states[0])
        new = tuple(
            values[node].expand_as(state)
            for node, state in zip(plan.new_states, states, strict=True)
        )
        if plan.output is None:
            return new[0], new
        shape = (*new[0].shape[:-1], plan.widths[plan.output_width])
        return values[plan.output].expand(shape), new

    def _parts(
        self, kind: str, names: Sequence[str], places: dict[str, int], value: Tensor
    ) -> dict[Leaf, Tensor]:
        parts = value.split([self._plan.widths[places[name]] for name in names], -1)
        return {Leaf(kind, name): part for name, part in zip(names, parts, strict=True)}

    def _multiplied(self, product: Product, state: Tensor) -> Tensor:
        plan = self._plan
        rows = plan.units(plan.columns[name] for name in product.columns)
        weight = self._parameters[product.weight][product.start : product.start + rows]
        if product.heads == 1:
            return functional.linear(state, weight)
        blocks = torch.block_diag(*weight.chunk(product.heads))
        return functional.linear(state, blocks)

    def _vector(self, name: str, vector: Vector) -> Tensor:
        width = 1 if vector.scalar else self._plan.widths[self._plan.vector_width(name)]
        parts = [self._parameters[each][row : row + width] for each, row in vector.sources]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total


def _value(node: Node, values: dict[int, Tensor], found: dict[Leaf, Any], like: Tensor) -> Tensor:
    if node.leaf is not None:
        return found[node.leaf]  # type: ignore[no-any-return]
    if node.op == "number":
        return like.new_tensor(node.value)
    arguments = [values[argument] for argument in node.args]
    function = getattr(torch, node.op, None) or getattr(functional, node.op)
    return function(*arguments)  # type: ignore[no-any-return]
