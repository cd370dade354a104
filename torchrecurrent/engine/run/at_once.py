"""Runs a sequence by Newton's method, forward and backward.

The backward pass does not see the iterations. At the solution, the gradient of the states after a
step is what the results pass to it and what the step after it passes back: a linear recurrence from
the last step to the first, with the transposed matrices of the forward pass. Then one product with
the derivative of all steps gives the gradients of parameters, input and first states.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..program.batch import Batch
from ..program.given import Given
from . import reference
from .all_steps import AllSteps
from .autograd import join_delay, replay, split_delay
from .boundary import obstacle
from .gaps import has_gaps
from .kernels import Fused, fused
from .linear_scan import by_steps, scan
from .newton import MOST, as_given, by_itself, is_linear, not_elementwise, solve

if TYPE_CHECKING:
    from ...cell import BaseRecurrentCell

__all__ = ["Newton"]

#: The arguments of the function below that have no gradient.
_FIXED = 8


@dataclass(frozen=True)
class Newton:
    """A cell whose states at all steps can be found at once."""

    fused: Fused

    @classmethod
    def of(cls, found: Fused) -> Newton | str:
        """Return it, or why a cell is none."""
        return not_elementwise(found.plan) or cls(found)

    def explanation(self, dtype: torch.dtype) -> str:
        """Return a sentence on how it runs."""
        if is_linear(self.fused.plan):
            return f"one linear scan over all time steps in {dtype}"
        return (
            f"all time steps at once in {dtype}, in at most {MOST} iterations; the reference loop "
            "where these do not find the states"
        )

    def run(
        self,
        cell: BaseRecurrentCell,
        data: Tensor,
        sizes: Tensor | None,
        weights: list[Tensor],
        states: list[Tensor],
        constants: list[float],
        noise: list[Tensor],
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the output and the last states; by the loop if the states are not found."""
        given, count = (data, *weights, *states), len(weights)
        keep = torch.is_grad_enabled() and any(each.requires_grad for each in given)
        with by_itself(data):
            own = [_differentiable(each) for each in given]
            masks = [_differentiable(each) for each in noise]
            first = own[1 + count :]
            batch = Batch(own[0], states[0].size(0), sizes, self.fused.named(masks))
            batch.check_sizes()
            steps = AllSteps(self.fused, cell, batch, own[1 : 1 + count], masks)
            solution = solve(steps, first, is_linear(self.fused.plan))
            results = () if solution is None else _results(steps, first, solution.states)
        if solution is None:
            return self._loop(cell, data, sizes, weights, states, noise)
        if keep:
            results = _AtOnce.apply(  # type: ignore[no-untyped-call]
                self.fused, cell, sizes, constants, noise, count, solution.states, results, *given
            )
        return results[0], tuple(results[1:])

    def _loop(
        self,
        cell: BaseRecurrentCell,
        data: Tensor,
        sizes: Tensor | None,
        weights: Sequence[Tensor],
        states: Sequence[Tensor],
        noise: Sequence[Tensor],
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        named = dict(zip(self.fused.weights, weights, strict=True))
        parameters = dict.fromkeys(cell.parameter_shapes) | named
        step, first = reference.replayed(cell, parameters), join_delay(cell, tuple(states))
        masks = self.fused.masks(noise)
        with as_given(data):
            output, last = reference.run(step, data, sizes, first, parameters, masks)
        return output, split_delay(cell, last)


def _differentiable(tensor: Tensor) -> Tensor:
    """Return a tensor that derivatives may depend on, if it was made in inference mode."""
    return tensor.clone() if tensor.is_inference() else tensor


def _results(
    steps: AllSteps, first: Sequence[Tensor], solution: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """Return the output and the last states, each in memory of its own."""
    rows, new = steps.evaluate(steps.before(first, solution))
    batch = steps.batch
    output = rows.new_empty(*batch.data.shape[:-1], rows.size(-1))
    output.copy_(rows.view_as(output))
    return (output, *(each[batch.last_rows].clone() for each in new))


class _AtOnce(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        found: Fused,
        cell: BaseRecurrentCell,
        sizes: Tensor | None,
        constants: Sequence[float],
        noise: Sequence[Tensor],
        count: int,
        solution: Sequence[Tensor],
        results: tuple[Tensor, ...],
        *given: Tensor,
    ) -> tuple[Tensor, ...]:
        ctx.save_for_backward(sizes, *given, *solution)
        ctx.fused, ctx.cell, ctx.constants, ctx.noise = found, cell, constants, noise
        ctx.counts = 1 + count, len(given)
        ctx.set_materialize_grads(False)
        return results

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
        sizes, *rest = ctx.saved_tensors
        count, total = ctx.counts
        (data, *weights), first, solution = rest[:count], rest[count:total], rest[total:]
        needs = ctx.needs_input_grad[_FIXED:]
        passed = [("a gradient", grad) for grad in grads if grad is not None]
        if torch.is_grad_enabled() or obstacle(data.device.type, passed):
            found = replay(ctx, data, sizes, weights, first, grads, needs)
            return (*(None,) * _FIXED, *found)
        cell, own = ctx.cell, fused(ctx.cell, Given(has_gaps(ctx.cell, data)))
        if own is not ctx.fused or ctx.constants != list(cell.numbers.values()):
            raise RuntimeError(
                f"{ctx.fused.name}: an option was changed between the forward and the backward pass"
            )
        with by_itself(data):
            leaves = [
                each.detach().requires_grad_(wanted)
                for each, wanted in zip((data, *weights), needs[:count], strict=True)
            ]
            batch = Batch(leaves[0], first[0].size(0), sizes, own.named(ctx.noise))
            with torch.enable_grad():
                steps = AllSteps(own, cell, batch, leaves[1:], ctx.noise)
            of_leaves, of_first = _gradients(steps, leaves, first, solution, grads)
        wanted = [
            grad if need else None for grad, need in zip(of_first, needs[count:], strict=True)
        ]
        return (*(None,) * _FIXED, *of_leaves, *wanted)


def _gradients(
    steps: AllSteps,
    leaves: Sequence[Tensor],
    first: Sequence[Tensor],
    solution: Sequence[Tensor],
    grads: Sequence[Tensor | None],
) -> tuple[list[Tensor | None], list[Tensor]]:
    """Return the gradients of data and parameters, and of the first states."""
    batch, moving = steps.batch, steps.moving
    before = [each.requires_grad_() for each in steps.before(first, solution)]
    with torch.enable_grad():
        output, new = steps.evaluate(before)
    of_output, *of_last = grads
    passed = [torch.zeros_like(each) for each in solution]  # to the states after each row
    for grad, each in zip(of_last, passed, strict=True):
        if grad is not None:
            each[batch.last_rows] += grad
    pairs: list[tuple[Tensor, Tensor]] = []
    if of_output is not None and steps.output_is_state:
        passed[0] += of_output.flatten(0, -2)
    elif of_output is not None:
        pairs.append((output, of_output.flatten(0, -2)))
        received = _products(pairs, [before[k] for k in moving])
        for k, grad in zip(moving, received, strict=True):
            if grad is not None:
                passed[k] += steps.passed_back(grad)
    for group in steps.groups:
        slopes = steps.slopes(group, new, before)
        found = steps.rows(_backwards(slopes, steps.grid(torch.stack([passed[k] for k in group]))))
        pairs += [(new[k], grad) for k, grad in zip(group, found, strict=True)]
    every = _products(pairs, [*leaves, *before])
    of_leaves, of_before = every[: len(leaves)], every[len(leaves) :]
    others = [k for k in range(len(new)) if k not in moving]
    if others:  # which pass on the input, and no state before them
        for k in others:
            grad = of_before[k]
            if grad is not None:
                passed[k] += steps.passed_back(grad)
        more = _products([(new[k], passed[k]) for k in others], leaves)
        of_leaves = [_sum(*both) for both in zip(of_leaves, more, strict=True)]
    of_first = [
        torch.zeros_like(one) if grad is None else grad[: batch.size]
        for one, grad in zip(first, of_before, strict=True)
    ]
    return of_leaves, of_first


def _products(
    pairs: Iterable[tuple[Tensor, Tensor]], inputs: Sequence[Tensor]
) -> list[Tensor | None]:
    """Return the gradients of tensors, from those of what was computed of them."""
    reached = [(result, grad) for result, grad in pairs if result.requires_grad]
    places = [k for k, each in enumerate(inputs) if each.requires_grad]
    found: list[Tensor | None] = [None] * len(inputs)
    if reached and places:
        results, grads = zip(*reached, strict=True)
        wanted = [inputs[k] for k in places]
        received = torch.autograd.grad(results, wanted, grads, retain_graph=True, allow_unused=True)
        for k, each in zip(places, received, strict=True):
            found[k] = each
    return found


def _backwards(slopes: Tensor, passed: Tensor) -> Tensor:
    """Return the gradients of the states, from those that the results pass to them.

    Args:
        slopes: ``(k, k, T, N, width)``, of the states after each step in those before.
        passed: ``(k, T, N, width)``.
    """
    # Backwards, the matrix of a step is that of the step after it in time.
    matrices, vectors = slopes.transpose(0, 1).flip(2).roll(1, 2), passed.flip(1)
    found = scan(matrices, vectors)
    if not bool(found.isfinite().all()):  # a product of many may overflow where no gradient does
        found = by_steps(matrices, vectors)
    return found.flip(1)


def _sum(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    if first is None or second is None:
        return second if first is None else first
    return first + second
