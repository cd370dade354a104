"""A whole sequence as one operator of torch, with its gradient, for tracers.

The operator identifies a cell by a key, since it takes strings, numbers and tensors only.
Its implementation is imported when it runs, so that it is registered once the package is imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from .kernels import Fused

__all__ = ["sequence_operator"]

_SECOND_DERIVATIVE = (
    "a compiled or exported sequence has no second derivative; for create_graph=True call the "
    "layer itself, or trace it under torchrecurrent.backend('reference')"
)


def _parted(fused: Fused, states: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Return the first states, and the masks behind them."""
    count = len(fused.buffers.first)
    return states[:count], states[count:]


@torch.library.custom_op("torchrecurrent::sequence", mutates_args=())
def sequence_operator(
    key: str,
    data: Tensor,
    sizes: Tensor | None,
    weights: list[Tensor],
    states: list[Tensor],
    constants: list[float],
    keep: bool,
) -> list[Tensor]:
    """Return the output at all steps, the last states, and all else that backward needs.

    ``states`` has the first ones and then the masks that were drawn: an ahead-of-time program of
    torch has no lists that may be empty.
    """
    from ..gpu.cuda_graphs import without_graphs
    from ..program.batch import Batch
    from .kernels import fused_by_key
    from .passes import check_given, forward_pass, outputs

    fused = fused_by_key(key)
    states, noise = _parted(fused, states)
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
    keep: bool,
) -> list[Tensor]:
    from .kernels import fused_by_key

    fused = fused_by_key(key)
    buffers, (states, _) = fused.buffers, _parted(fused, states)
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
    from .passes import backward_pass, check_given, check_kept, owned

    fused = fused_by_key(key)
    states, noise = _parted(fused, states)
    batch = Batch(data, states[0].size(0), sizes, fused.named(noise))
    check_given(fused, batch, weights, states)
    check_kept(fused, batch, output, kept)
    with without_graphs():
        return backward_pass(
            fused, batch, weights, states, constants, (output, kept), grad_output,
            [owned(grad) for grad in grad_states], needs_data, False,
        )  # fmt: skip


@_sequence_backward.register_fake
def _(
    key: str,
    data: Tensor,
    sizes: Tensor | None,
    weights: list[Tensor],
    states: list[Tensor],
    constants: list[float],
    output: Tensor,
    kept: list[Tensor],
    grad_output: Tensor,
    grad_states: list[Tensor],
    needs_data: bool,
) -> list[Tensor]:
    from .kernels import fused_by_key

    fused = fused_by_key(key)
    gives_data, (states, _) = needs_data or fused.plan.raw_gradient, _parted(fused, states)
    grad_data = torch.empty_like(data) if gives_data else data.new_empty(())
    return [grad_data, *(torch.empty_like(each) for each in (*weights, *states))]


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    from .kernels import fused_by_key

    key, data, sizes, weights, states, constants, _ = inputs
    ctx.key, ctx.constants = key, constants
    ctx.counts = (len(weights), len(states), len(fused_by_key(key).buffers.first))
    kept = output[1 + ctx.counts[2] :]
    ctx.save_for_backward(data, sizes, output[0], *weights, *states, *kept)
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, grads: Sequence[Tensor | None]) -> tuple[Any, ...]:
    if torch.is_grad_enabled():
        raise RuntimeError(_SECOND_DERIVATIVE)
    from .passes import gradients_of

    data, sizes, output, *rest = ctx.saved_tensors
    count, given, states_count = ctx.counts
    weights, states = rest[:count], rest[count : count + given]
    kept, needs_data = rest[count + given :], ctx.needs_input_grad[1]
    grad_output, grad_states = gradients_of(
        output, states[:states_count], grads[: 1 + states_count]
    )
    results = _sequence_backward(
        ctx.key, data, sizes, weights, states, ctx.constants, output, kept, grad_output,
        grad_states, needs_data,
    )  # fmt: skip
    return (
        None,
        results[0] if needs_data else None,
        None,
        results[1 : 1 + count],
        [*results[1 + count :], *[None] * (given - states_count)],
        None if ctx.constants else [],  # torch needs a list, even an empty one
        None,
    )


sequence_operator.register_autograd(_backward, setup_context=_setup_context)
