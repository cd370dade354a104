"""Runs a kernel at once, for calls that nobody traces.

Here the buffers are ours alone, so that the backward pass may use them up, and the operator's
bookkeeping, which takes longer than a short sequence, is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .batch import Batch
from .fused import fused_by_key
from .operator import SECOND_DERIVATIVE, sequence_operator
from .passes import backward_pass, forward_pass, gradients_of, kept_names, outputs

__all__ = ["sequence"]


class _Sequence(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        key: str,
        sizes: Tensor | None,
        constants: Sequence[float],
        count: int,
        data: Tensor,
        *others: Tensor,
    ) -> tuple[Tensor, ...]:
        fused, weights, states = fused_by_key(key), others[:count], others[count:]
        batch = Batch(data, states[0].size(0), sizes)
        tensors = forward_pass(fused, batch, weights, states, constants, True)
        results = outputs(fused, batch, tensors, True)
        kept = [tensors[name] for name in kept_names(fused)]
        ctx.save_for_backward(data, sizes, results[0], *others, *kept)
        ctx.fused, ctx.constants, ctx.counts = fused, constants, (count, len(others))
        ctx.used_up = False
        ctx.set_materialize_grads(False)
        return tuple(results)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError(SECOND_DERIVATIVE)
        data, sizes, output, *rest = ctx.saved_tensors
        count, total = ctx.counts
        weights, states, kept = rest[:count], rest[count:total], rest[total:]
        results = backward_pass(
            ctx.fused,
            Batch(data, states[0].size(0), sizes),
            weights,
            states,
            ctx.constants,
            None if ctx.used_up else (output, kept),
            *gradients_of(output, states, grads),
            ctx.needs_input_grad[4],
            True,
        )
        ctx.used_up = True
        if not ctx.needs_input_grad[4]:
            results[0] = None  # type: ignore[call-overload]
        return (None, None, None, None, *results)


def sequence(
    key: str,
    data: Tensor,
    sizes: Tensor | None,
    weights: list[Tensor],
    states: list[Tensor],
    constants: list[float],
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run the kernel of a key over a sequence: its output, and its last states."""
    keep = torch.is_grad_enabled() and any(
        tensor.requires_grad for tensor in (data, *weights, *states)
    )
    results: Sequence[Tensor]
    if torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack():
        results = sequence_operator(key, data, sizes, weights, states, constants, keep)
    elif keep:
        results = _Sequence.apply(  # type: ignore[no-untyped-call]
            key, sizes, constants, len(weights), data, *weights, *states
        )
    else:
        fused, batch = fused_by_key(key), Batch(data, states[0].size(0), sizes)
        tensors = forward_pass(fused, batch, weights, states, constants, False)
        results = outputs(fused, batch, tensors, False)
    return results[0], tuple(results[1 : 1 + len(states)])
