"""Finds the states of all time steps at once, by Newton's method.

The states after all steps are the solution of one system of equations: each is a step from the one
before. From a guess, all steps are computed side by side. What they lack to the solution is, to
first order, a linear recurrence, which :mod:`.linear_scan` solves; this is repeated until nothing
changes. Where each unit sees itself alone, the recurrence has a small matrix for each of them.

The backward pass does not see the iterations: the gradients of the states follow a linear
recurrence from the last step to the first, with the same matrices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from ...checks import is_autocast
from ..gpu.hoisted import is_elementwise
from ..ir.affine import affine
from ..ir.graph import Graph, Leaf
from ..program.plan import Plan
from .all_steps import AllSteps, moving
from .linear_scan import scan
from .torch_private import saved_tensors_are_watched

__all__ = ["MOST", "Solution", "as_given", "by_itself", "is_linear", "not_elementwise", "solve"]

#: After so many iterations the loop runs instead. Over 1000 steps half of the catalogue's cells
#: take five or fewer; where a step forgets nothing, each finds little more than one more step.
MOST = 32
#: A state is found once an iteration changes it by less than so many roundings of its largest
#: number. Later steps amplify what one is rounded by: at the solution, iterations go on to change
#: the states of the catalogue's cells by up to 100 of these. The error that is left is about the
#: square of the last change, or such roundings.
ROUNDINGS = 256


@dataclass(frozen=True)
class Solution:
    """The states after each row, and how many iterations found them."""

    states: list[Tensor]
    iterations: int


@lru_cache
def not_elementwise(plan: Plan) -> str:
    """Return what of a plan joins units from step to step; empty if nothing does."""
    if is_elementwise(plan):
        return ""
    new = dict(zip(plan.states, plan.new_states, strict=True))
    for product in plan.products:
        if plan.graph.nodes[new[product.state]].leaf != Leaf("x", "input"):
            return (
                f"its step multiplies the state {product.state!r} by the matrix "
                f"{product.weight!r}, and only units that see themselves alone can be solved"
            )
    return (
        f"its step joins units of its state ({plan.maps[0].name!r}), and only units that see "
        "themselves alone can be solved"
    )


@lru_cache
def is_linear(plan: Plan) -> bool:
    """Whether the derivative of a step is the same at all states: one iteration finds them."""
    places, names = moving(plan), list(plan.states)
    new = [plan.new_states[place] for place in places]
    if any(plan.graph.nodes[node].op == "detach" for node in plan.graph.needed(new)):
        return False  # it may be linear in what it has no derivative of
    old = [Leaf("s", names[place]) for place in places]
    # The other states are inputs here.
    nodes = [
        replace(node, leaf=Leaf("x", node.leaf.name))
        if node.leaf is not None and node.leaf.kind == "s" and node.leaf not in old
        else node
        for node in plan.graph.nodes
    ]
    graph = Graph(nodes, {node: place for place, node in enumerate(nodes)})
    return affine(graph, new, old) is not None


def solve(
    steps: AllSteps, first: Sequence[Tensor], linear: bool = False, most: int = MOST
) -> Solution | None:
    """Return the states after all steps; ``None`` if they are not found, or not finite.

    Args:
        steps: the steps.
        first: the states before the first.
        linear: whether one iteration is known to do.
        most: the number of iterations.
    """
    # Where a step forgets most of its state, one from the first state is near; and it is right
    # at the first step, and for states that depend on the input alone.
    sequence = steps.batch.sequence_rows
    _, states = steps.evaluate([each[sequence] for each in first])
    if not steps.moving:
        return Solution(states, 0)
    for count in range(1, most + 1):
        before = steps.before(first, states)
        with torch.enable_grad():
            for place in steps.moving:
                before[place].requires_grad_()
            _, new = steps.evaluate(before)
        verdicts = []
        for group in steps.groups:
            slopes = steps.slopes(group, new, before)
            lack = steps.grid(torch.stack([new[k].detach() - states[k] for k in group]))
            changes = steps.rows(scan(slopes, lack))
            for k, change in zip(group, changes, strict=True):
                states[k] = states[k] + change
                size, least = change.abs().amax(), torch.finfo(change.dtype).eps * ROUNDINGS
                verdicts += [size.isfinite(), size <= least * states[k].abs().amax()]
        finite, found = torch.stack(verdicts).view(-1, 2).all(0).tolist()
        if not finite:
            return None
        if found or linear:
            return Solution(states, count)
    return None


def as_given(data: Tensor) -> AbstractContextManager[Any]:
    """Return a context in which nothing is computed in another dtype than that of the data."""
    if is_autocast(data.device):
        return torch.autocast(data.device.type, enabled=False)
    return nullcontext()


@contextmanager
def by_itself(data: Tensor) -> Iterator[None]:
    """A context for derivatives of steps that nobody else sees."""
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.no_grad())
        stack.enter_context(as_given(data))
        if saved_tensors_are_watched():
            # A checkpoint would run the forward pass anew for each of them.
            hooks = torch.autograd.graph.saved_tensors_hooks(Tensor.detach, lambda saved: saved)
            stack.enter_context(hooks)
        yield
