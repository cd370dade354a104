"""Runs a kernel directly, for calls that are not being traced.

The buffers then belong to the call, so that the backward pass may overwrite them, and the
operator's bookkeeping, which takes longer than a short sequence, is skipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..program.batch import Batch
from . import reference
from .boundary import obstacle
from .kernels import Fused
from .passes import backward_pass, check_given, check_kept, forward_pass, gradients_of, outputs
from .torch_private import profiling, saved_tensors_are_watched

if TYPE_CHECKING:
    from ...cell import BaseRecurrentCell

__all__ = ["join_delay", "replay", "sequence", "split_delay"]


def split_delay(cell: BaseRecurrentCell, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return the states as a kernel has them: each step of a delay line is one."""
    if not _has_delay(cell):
        return states
    return (*states[:-1], *states[-1].split(cell.output_size, -1))


def join_delay(cell: BaseRecurrentCell, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return the states as a cell has them, from those of its kernel."""
    if not _has_delay(cell):
        return states
    count = len(cell.state_names) - 1
    return (*states[:count], torch.cat(states[count:], -1))


def _has_delay(cell: BaseRecurrentCell) -> bool:
    """Whether one of its states is a delay line; a module from outside has none."""
    return isinstance(cell, nn.Module) and cell.signature.has_delay


def _named(name: str) -> AbstractContextManager[Any]:
    """Return a context that adds an entry to the table of an active profiler."""
    return torch.profiler.record_function(name) if profiling() else nullcontext()


class _Sequence(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        fused: Fused,
        cell: BaseRecurrentCell,
        sizes: Tensor | None,
        constants: Sequence[float],
        noise: Sequence[Tensor],
        count: int,
        data: Tensor,
        *others: Tensor,
    ) -> tuple[Tensor, ...]:
        weights, states = others[:count], others[count:]
        training = None
        if sizes is None and not noise and not fused.is_triton(data.device.type):
            training = fused.training(data.dtype)
        with _named(fused.name):
            if training is not None:
                results, *kept = training.forward(data, weights, states, constants)
            else:
                batch = Batch(data, states[0].size(0), sizes, fused.named(noise))
                tensors = forward_pass(fused, batch, weights, states, constants, True)
                results = outputs(fused, batch, tensors, True)
                kept = [tensors[each.name] for each in fused.buffers.kept]
        if saved_tensors_are_watched():
            # No other reference may be kept; so torch itself detects a change of the output.
            ctx.seen, output = None, results[0]
        else:
            # The saved tensors have versions of their own. An alias of the output shows whether
            # it was changed in place; if so, the forward pass runs again.
            ctx.seen, output = (results[0].detach(), results[0]._version), results[0].data
        ctx.save_for_backward(data, sizes, output, *others, *kept)
        ctx.fused, ctx.cell, ctx.constants, ctx.noise = fused, cell, constants, noise
        ctx.counts, ctx.used_up, ctx.training = (count, len(others)), False, training
        ctx.set_materialize_grads(False)
        return tuple(results)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
        data, sizes, output, *rest = ctx.saved_tensors
        count, total = ctx.counts
        weights, states, kept = rest[:count], rest[count:total], rest[total:]
        needs = ctx.needs_input_grad[6:]
        given = [("a gradient", grad) for grad in grads if grad is not None]
        if torch.is_grad_enabled() or obstacle(data.device.type, given):
            return (*(None,) * 6, *replay(ctx, data, sizes, weights, states, grads, needs))
        batch, training = Batch(data, states[0].size(0), sizes), ctx.training
        if training is None:
            batch = replace(batch, noise=ctx.fused.named(ctx.noise))
        if ctx.seen is None:
            check_given(ctx.fused, batch, weights, states)
            check_kept(ctx.fused, batch, output, kept, training)
        changed = ctx.seen is not None and ctx.seen[0]._version != ctx.seen[1]
        made = None if ctx.used_up or changed else (output, kept)
        passed = weights, states, ctx.constants
        grad_output, grad_states = gradients_of(output, states, grads)
        results: list[Tensor | None]
        with _named(f"{ctx.fused.name}Backward"):
            if training is not None and made is not None:
                # Torch itself has seen to the shapes and dtypes of gradients.
                gradient = grad_output.contiguous()
                results = training.backward(
                    data, output, *kept, *passed, gradient, grad_states, needs[0]
                )
            else:
                results = [
                    *backward_pass(
                        ctx.fused, batch, *passed, made, grad_output, grad_states, needs[0], True
                    )
                ]
        ctx.used_up = True
        if not needs[0]:
            results[0] = None
        return (*(None,) * 6, *results)


def replay(
    ctx: Any,
    data: Tensor,
    sizes: Tensor | None,
    weights: Sequence[Tensor],
    states: Sequence[Tensor],
    grads: Sequence[Tensor | None],
    needs: Sequence[bool],
) -> list[Tensor | None]:
    """Return gradients by rerunning the reference loop; torch can differentiate them again."""
    cell, fused = ctx.cell, ctx.fused
    if ctx.constants != list(cell.numbers.values()):
        raise RuntimeError(
            f"{fused.name}: an option was changed between the forward and the backward pass"
        )
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        # Aliases, so that these gradients stop here, while those of gradients pass through.
        leaves = [
            value.view_as(value) if wanted else value
            for value, wanted in zip((data, *weights, *states), needs, strict=True)
        ]
        parameters = dict.fromkeys(cell.parameter_shapes) | dict(
            zip(fused.weights, leaves[1 : 1 + len(weights)], strict=True)
        )
        output, last = reference.run(
            reference.replayed(cell, parameters),
            leaves[0],
            sizes,
            join_delay(cell, tuple(leaves[1 + len(weights) :])),
            parameters,
            fused.masks(ctx.noise),
        )
        pairs = [
            (result, grad)
            for result, grad in zip((output, *split_delay(cell, last)), grads, strict=True)
            if grad is not None and result.requires_grad
        ]
        found = iter(
            torch.autograd.grad(
                [result for result, _ in pairs],
                [leaf for leaf, wanted in zip(leaves, needs, strict=True) if wanted],
                [grad for _, grad in pairs],
                create_graph=again,
                allow_unused=True,
            )
            if pairs
            else ()
        )
        return [next(found, None) if wanted else None for wanted in needs]


def sequence(
    fused: Fused,
    cell: BaseRecurrentCell,
    data: Tensor,
    sizes: Tensor | None,
    weights: list[Tensor],
    states: list[Tensor],
    constants: list[float],
    noise: list[Tensor],
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run a kernel over a sequence; return its output and its last states."""
    batch = Batch(data, states[0].size(0), sizes, fused.named(noise))
    batch.check_sizes()
    results: Sequence[Tensor]
    if torch.is_grad_enabled() and any(
        tensor.requires_grad for tensor in (data, *weights, *states)
    ):
        results = _Sequence.apply(  # type: ignore[no-untyped-call]
            fused, cell, sizes, constants, noise, len(weights), data, *weights, *states
        )
    else:
        with _named(fused.name):
            tensors = forward_pass(fused, batch, weights, states, constants, False)
        results = outputs(fused, batch, tensors, False)
    return results[0], tuple(results[1 : 1 + len(states)])
