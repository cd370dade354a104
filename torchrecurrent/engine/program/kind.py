"""Finds the kind of a step's recurrence from its trace."""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...declaration.step_contract import StepError
from ..ir.operations import OPERATIONS
from ..ir.trace import UntraceableError
from .build import make_plan
from .plan import Plan

if TYPE_CHECKING:
    from ...cell import BaseRecurrentCell

__all__ = ["recurrence_kind", "recurrence_of"]

_STAGES = ("", "", "two-stage", "three-stage")


@dataclass(frozen=True)
class _Value:
    """How a value depends on the state before the step.

    Attributes:
        degree: its degree as a polynomial in the state; 0: it does not depend on it.
        stages: the number of successive matrix products between the state and it.
        mixes: whether something joins the units of a state on the way to it.
    """

    degree: float = 0
    stages: int = 0
    mixes: bool = False


def recurrence_of(cell: BaseRecurrentCell) -> str:
    """Return a cell's kind of recurrence; the class declares it if the step can't be traced."""
    try:
        return recurrence_kind(make_plan(cell))
    except (UntraceableError, StepError):
        return cell.recurrence


def recurrence_kind(plan: Plan) -> str:
    """Return the kind of recurrence, in words.

    - ``elementwise``: a unit sees the past of no other, and no weight multiplies the state;
      ``diagonal``: likewise, but recurrent weights do, one for each unit; ``dense``: matrices.
    - ``two-stage`` and so on: a step has that many successive matrix products.
    - ``linear``: the new state is linear in the old one, whatever the input is.

    Values that only the output needs do not count, nor does a state that only passes on an input.
    """
    passed: frozenset[str] = frozenset()  # states that do not persist
    while True:
        values = _values(plan, passed)
        new = dict(zip(plan.states, plan.new_states, strict=True))
        found = frozenset(name for name, node in new.items() if not values[node].degree)
        if found == passed:
            break
        passed = found
    states = [values[node] for name, node in new.items() if name not in passed]
    stages = max((value.stages for value in states), default=0)
    mixes = any(value.mixes for value in states)
    words = ["dense" if mixes else "diagonal" if _is_weighted(plan, values) else "elementwise"]
    if stages > 1:
        words.append(_STAGES[stages] if stages < len(_STAGES) else f"{stages}-stage")
    if all(value.degree <= 1 for value in states):
        words.append("linear")
    return ", ".join(words)


def _values(plan: Plan, passed: Set[str]) -> dict[int, _Value]:
    """Return how each node that the new states need depends on the state."""
    graph = plan.graph
    read = {column: product.state for product in plan.products for column in product.columns}
    arguments = {name: each.argument for each in plan.maps for name in each.names}
    across = {each.name: each.across for each in plan.maps if each.across is not None}
    values: dict[int, _Value] = {}
    for index in _needed(plan, arguments):
        node = graph.nodes[index]
        leaf = node.leaf
        if leaf is None:
            values[index] = _result(node.op, [values[argument] for argument in node.args])
        elif leaf.kind == "s" and leaf.name not in passed:
            values[index] = _Value(1)
        elif leaf.kind == "z" and leaf.name in read and read[leaf.name] not in passed:
            values[index] = _Value(1, 1, True)
        elif leaf.kind == "m" and (argument := values[arguments[leaf.name]]).degree:
            # an average mixes units, but takes far less time than a product
            stages = argument.stages + (leaf.name not in across)
            linear = leaf.name not in across or across[leaf.name].gradient is not None
            mixes = leaf.name not in across or across[leaf.name].copies is None or argument.mixes
            values[index] = _Value(argument.degree if linear else math.inf, stages, mixes)
        else:
            values[index] = _Value()
    return values


def _needed(plan: Plan, arguments: Mapping[str, int]) -> list[int]:
    """Return the nodes that the new states need, through maps too, in order."""
    graph, outputs = plan.graph, set(plan.new_states)
    while True:
        found = graph.needed(outputs)
        leaves = [leaf.name for each in found if (leaf := graph.nodes[each].leaf)]
        further = {arguments[name] for name in leaves if name in arguments} - outputs
        if not further:
            return found
        outputs |= further


def _result(op: str, arguments: list[_Value]) -> _Value:
    stages = max((argument.stages for argument in arguments), default=0)
    mixes = any(argument.mixes for argument in arguments)
    depending = {place for place, argument in enumerate(arguments) if argument.degree}
    if not depending:
        return _Value()
    groups = OPERATIONS[op].linear
    if not depending <= {place for group in groups for place in group}:
        return _Value(math.inf, stages, mixes)
    # like a product in its factors, it is linear in each group separately
    return _Value(
        sum(max(arguments[place].degree for place in group) for group in groups), stages, mixes
    )


def _is_weighted(plan: Plan, values: dict[int, _Value]) -> bool:
    """Whether a learned number for each unit multiplies a value that depends on the state."""
    nodes = plan.graph.nodes
    return any(
        leaf is not None and leaf.kind == "v" and not plan.vectors[leaf.name].scalar
        for index, value in values.items()
        if nodes[index].op == "mul" and value.degree
        for argument in nodes[index].args
        for leaf in [nodes[argument].leaf]
    )
