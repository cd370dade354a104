"""A whole sequence as one operator of torch, with its gradient.

Kernels are known to the operator by number, since an operator takes tensors and numbers only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .launch import Kernel

__all__ = ["register", "sequence"]

_KERNELS: list[tuple[Kernel, tuple[str, ...]]] = []
_NUMBERS: dict[object, int] = {}


def register(kernel: Kernel, weights: Sequence[str]) -> int:
    """A number for a kernel that takes the weights of these names, in this order.

    Cells of one kind and size share it.
    """
    plan, names = kernel.plan, tuple(weights)
    key = (kernel.source.text, plan.products, plan.maps, tuple(plan.vectors.items()), names)
    if key not in _NUMBERS:
        _KERNELS.append((kernel, names))
        _NUMBERS[key] = len(_KERNELS) - 1
    return _NUMBERS[key]


def _saved_names(kernel: Kernel) -> list[str]:
    """What the forward pass keeps for the backward one, besides its inputs."""
    plan = kernel.plan
    names = [f"S.{name}" for name in plan.states]
    names += [f"{kind}.{each.name}" for each in plan.maps for kind in ("V", "M")]
    return [*names, "Z"]


@torch.library.custom_op("torchrecurrent::sequence", mutates_args=())
def _sequence(
    handle: int,
    data: Tensor,
    sizes: Tensor,
    weights: list[Tensor],
    states: list[Tensor],
    constants: Tensor,
    keep: bool,
) -> list[Tensor]:
    """The output at all steps, the states after each sequence's last, and what backward needs."""
    kernel, names = _KERNELS[handle]
    plan = kernel.plan
    tensors = kernel.forward(
        data, sizes, dict(zip(names, weights, strict=True)), states, constants, keep
    )
    last = _last_rows(sizes)
    output = tensors[f"S.{plan.states[0]}" if plan.output is None else "Y"]
    final = []
    for k, name in enumerate(plan.states):
        history = tensors[f"S.{name}"]
        has_all_steps = keep or (k == 0 and plan.output is None)
        final.append(history[last].clone() if has_all_steps else history)
    saved = [tensors[name] for name in _saved_names(kernel)] if keep else []
    return [output, *final, *(each for each in saved if each is not output)]


def _last_rows(sizes: Tensor) -> Any:
    """The rows of each sequence's last step, longest sequence first."""
    batch, total = int(sizes[0]), int(sizes.sum())
    if int(sizes[-1]) == batch:
        return slice(total - batch, total)
    lengths = (sizes.unsqueeze(1) > torch.arange(batch)).sum(0)
    return (sizes.cumsum(0) - sizes)[lengths - 1] + torch.arange(batch)


@_sequence.register_fake
def _(
    handle: int,
    data: Tensor,
    sizes: Tensor,
    weights: list[Tensor],
    states: list[Tensor],
    constants: Tensor,
    keep: bool,
) -> list[Tensor]:
    kernel, _ = _KERNELS[handle]
    plan = kernel.plan
    width = states[0].size(1)
    final = [torch.empty_like(state) for state in states]
    kept = len(_saved_names(kernel)) - 1 - (plan.output is None) if keep else 0
    made = [data.new_empty(data.size(0), width) for _ in range(1 + kept)]
    z = [data.new_empty(data.size(0), len(plan.columns) * width)] if keep else []
    return [made[0], *final, *made[1:], *z]


@torch.library.custom_op("torchrecurrent::sequence_backward", mutates_args=())
def _sequence_backward(
    handle: int,
    data: Tensor,
    sizes: Tensor,
    weights: list[Tensor],
    states: list[Tensor],
    constants: Tensor,
    saved: list[Tensor],
    consumed: bool,
    grad_output: Tensor,
    grad_states: list[Tensor],
    needs_data: bool,
) -> list[Tensor]:
    """Gradients of data, weights and states; the last of ``saved`` is overwritten.

    ``consumed`` says that it was, by an earlier call on the same graph.
    """
    kernel, names = _KERNELS[handle]
    named = dict(zip(names, weights, strict=True))
    if consumed:
        tensors = kernel.forward(data, sizes, named, states, constants, True)
    else:
        tensors = {"X": data}
        tensors |= dict(zip(_saved_names(kernel), saved, strict=True))
        plan_states = kernel.plan.states
        tensors |= {f"S0.{name}": s for name, s in zip(plan_states, states, strict=True)}
    grad_data, grads, grad_first = kernel.backward(
        tensors,
        sizes,
        named,
        constants,
        grad_output.contiguous(),
        [grad.clone(memory_format=torch.contiguous_format) for grad in grad_states],
        needs_data,
    )
    return [grad_data, *(grads[name] for name in names), *grad_first]


@_sequence_backward.register_fake
def _(
    handle: int,
    data: Tensor,
    sizes: Tensor,
    weights: list[Tensor],
    states: list[Tensor],
    constants: Tensor,
    saved: list[Tensor],
    consumed: bool,
    grad_output: Tensor,
    grad_states: list[Tensor],
    needs_data: bool,
) -> list[Tensor]:
    grad_data = torch.empty_like(data) if needs_data else data.new_empty(())
    return [grad_data, *(torch.empty_like(each) for each in (*weights, *states))]


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    handle, data, sizes, weights, states, constants, _ = inputs
    kernel, _ = _KERNELS[handle]
    ctx.handle, ctx.consumed = handle, False
    ctx.counts = (len(weights), len(states))
    saved = output[1 + len(states) :]
    if kernel.plan.output is None:
        saved = [output[0], *saved]
    ctx.save_for_backward(data, sizes, constants, *weights, *states, *saved)
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, grads: Sequence[Tensor | None]) -> tuple[Any, ...]:
    if torch.is_grad_enabled():
        raise RuntimeError(
            "the fused kernel has no second derivative; use torchrecurrent.backend('reference') "
            "around the forward pass for create_graph=True"
        )
    data, sizes, constants, *rest = ctx.saved_tensors
    count, states_count = ctx.counts
    weights, rest = rest[:count], rest[count:]
    states, saved = rest[:states_count], rest[states_count:]
    shape = (data.size(0), states[0].size(1))
    grad_output = grads[0] if grads[0] is not None else data.new_zeros(shape)
    grad_states = [
        torch.zeros_like(state) if grad is None else grad
        for grad, state in zip(grads[1 : 1 + states_count], states, strict=True)
    ]
    results = _sequence_backward(
        ctx.handle,
        data,
        sizes,
        weights,
        states,
        constants,
        saved,
        ctx.consumed,
        grad_output,
        grad_states,
        ctx.needs_input_grad[1],
    )
    ctx.consumed = True
    return (
        None,
        results[0] if ctx.needs_input_grad[1] else None,
        None,
        results[1 : 1 + count],
        results[1 + count :],
        None,
        None,
    )


_sequence.register_autograd(_backward, setup_context=_setup_context)


def sequence(
    handle: int,
    data: Tensor,
    sizes: Tensor,
    weights: list[Tensor],
    states: list[Tensor],
    constants: Tensor,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run the kernel ``handle`` over a sequence: its output, and its last states."""
    keep = torch.is_grad_enabled() and any(
        tensor.requires_grad for tensor in (data, *weights, *states)
    )
    results = _sequence(handle, data, sizes, weights, states, constants, keep)
    return results[0], tuple(results[1 : 1 + len(states)])
