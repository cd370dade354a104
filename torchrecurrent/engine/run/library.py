"""A whole sequence as one operator of torch, with its gradient, for tracers.

The operator identifies a cell by a key, since it takes strings, numbers and tensors only.
Its implementation is imported when it runs, so that it is registered once the package is imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["sequence_operator"]

_SECOND_DERIVATIVE = (
    "a compiled or exported sequence has no second derivative; for create_graph=True call the "
    "layer itself, or trace it under torchrecurrent.backend('reference')"
)


@torch.library.custom_op("torchrecurrent::sequence", mutates_args=())
def sequence_operator(
    key: str,
    data: Tensor,
    sizes: Tensor | None,
    weights: list[Tensor],
    states: list[Tensor],
    constants: list[float],
    noise: list[Tensor],
    keep: bool,
) -> list[Tensor]:
    """Return the output at all steps, the last states, and all else that backward needs."""
    from ..gpu.cuda_graphs import without_graphs
    from ..program.batch import Batch
    from .kernels import fused_by_key
    from .passes import check_given, forward_pass, outputs

    fused = fused_by_key(key)
    batch = Batch(data, states[0].size(0), sizes, fused.named(noise))
    check_given(fused, batch, weights, states)
    with without_graphs():
        tensors = forward_pass(fused, batch, weights, states, constants, keep)
    kept = [tensors[each.name] for each in fused.buffers.kept] if keep else []
    return [*outputs(fused, batch, tensors, keep), *kept]


@sequence_operator.register_fake
def _(
    key: str,
    data: Tensor,
    sizes: Tensor | None,
    weights: list[Tensor],
    states: list[Tensor],
    constants: list[float],
    noise: list[Tensor],
    keep: bool,
) -> list[Tensor]:
    from .kernels import fused_by_key

    buffers = fused_by_key(key).buffers
    output = data.new_empty((*data.shape[:-1], buffers.output.units))
    rows = data.numel() // data.size(-1)
    kept = [data.new_empty((rows, each.units)) for each in buffers.kept] if keep else []
    return [output, *(torch.empty_like(state) for state in states), *kept]


@torch.library.custom_op("torchrecurrent::sequence_backward", mutates_args=())
def _sequence_backward(
    key: str,
    data: Tensor,
    sizes: Tensor | None,
    weights: list[Tensor],
    states: list[Tensor],
    constants: list[float],
    noise: list[Tensor],
    output: Tensor,
    kept: list[Tensor],
    grad_output: Tensor,
    grad_states: list[Tensor],
    needs_data: bool,
) -> list[Tensor]:
    """Return the gradients of data, weights and states."""
    from ..gpu.cuda_graphs import without_graphs
    from ..program.batch import Batch
    from .kernels import fused_by_key
    from .passes import backward_pass, check_given, check_kept

    fused = fused_by_key(key)
    batch = Batch(data, states[0].size(0), sizes, fused.named(noise))
    check_given(fused, batch, weights, states)
    check_kept(fused, batch, output, kept)
    with without_graphs():
        return backward_pass(
            fused, batch, weights, states, constants, (output, kept), grad_output, grad_states,
            needs_data, False,
        )  # fmt: skip


@_sequence_backward.register_fake
def _(
    key: str,
    data: Tensor,
    sizes: Tensor | None,
    weights: list[Tensor],
    states: list[Tensor],
    constants: list[float],
    noise: list[Tensor],
    output: Tensor,
    kept: list[Tensor],
    grad_output: Tensor,
    grad_states: list[Tensor],
    needs_data: bool,
) -> list[Tensor]:
    from .kernels import fused_by_key

    gives_data = needs_data or fused_by_key(key).plan.raw_gradient
    grad_data = torch.empty_like(data) if gives_data else data.new_empty(())
    return [grad_data, *(torch.empty_like(each) for each in (*weights, *states))]


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    key, data, sizes, weights, states, constants, noise, _ = inputs
    ctx.key, ctx.constants, ctx.masks = key, constants, len(noise)
    ctx.counts = (len(weights), len(states))
    kept = output[1 + len(states) :]
    ctx.save_for_backward(data, sizes, output[0], *noise, *weights, *states, *kept)
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, grads: Sequence[Tensor | None]) -> tuple[Any, ...]:
    if torch.is_grad_enabled():
        raise RuntimeError(_SECOND_DERIVATIVE)
    from .passes import gradients_of

    data, sizes, output, *rest = ctx.saved_tensors
    noise, rest = rest[: ctx.masks], rest[ctx.masks :]
    count, states_count = ctx.counts
    weights, states = rest[:count], rest[count : count + states_count]
    kept, needs_data = rest[count + states_count :], ctx.needs_input_grad[1]
    grad_output, grad_states = gradients_of(output, states, grads[: 1 + states_count])
    results = _sequence_backward(
        ctx.key, data, sizes, weights, states, ctx.constants, noise, output, kept,
        grad_output, grad_states, needs_data,
    )  # fmt: skip
    return (
        None,
        results[0] if needs_data else None,
        None,
        results[1 : 1 + count],
        results[1 + count :],
        None if ctx.constants else [],  # torch needs a list, even an empty one
        [None] * len(noise),
        None,
    )


sequence_operator.register_autograd(_backward, setup_context=_setup_context)
