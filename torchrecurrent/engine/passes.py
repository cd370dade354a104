"""The two passes of a kernel over a sequence, its tensors in order rather than by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from .batch import Batch
from .fused import Fused
from .launch import Kernel
from .triton_launch import TritonKernel

__all__ = [
    "backward_pass",
    "forward_pass",
    "gradients_of",
    "kept_names",
    "kept_widths",
    "outputs",
]


def _output_name(fused: Fused) -> str:
    plan = fused.plan
    return f"S.{next(iter(plan.states))}" if plan.output is None else "Y"


def kept_names(fused: Fused) -> list[str]:
    """What the forward pass keeps for the backward one, besides its inputs and the output."""
    plan = fused.plan
    names = [f"S.{name}" for name in plan.states]
    return [name for name in (*names, *plan.kept()) if name != _output_name(fused)]


def kept_widths(fused: Fused) -> list[int]:
    """How wide each of these is."""
    plan = fused.plan
    widths = {f"S.{name}": plan.widths[place] for name, place in plan.states.items()}
    widths |= plan.kept()
    return [widths[name] for name in kept_names(fused)]


def _kernel(fused: Fused, batch: Batch) -> Kernel | TritonKernel:
    return fused.kernel(batch.data.dtype, batch.data.device.type)


def forward_pass(
    fused: Fused,
    batch: Batch,
    weights: Sequence[Tensor],
    states: Sequence[Tensor],
    constants: Sequence[float],
    keep: bool,
) -> dict[str, Tensor]:
    """All tensors that it makes, under their names in the kernel."""
    named = dict(zip(fused.weights, weights, strict=True))
    return _kernel(fused, batch).forward(batch, named, states, constants, keep)


def outputs(fused: Fused, batch: Batch, tensors: Mapping[str, Tensor], keep: bool) -> list[Tensor]:
    """The output at all steps, and the states after each sequence's last."""
    name, last = _output_name(fused), batch.last_rows()
    final = []
    for state in fused.plan.states:
        history = tensors[f"S.{state}"]
        final.append(history[last].clone() if keep or f"S.{state}" == name else history)
    output = tensors[name]
    return [output.view(*batch.data.shape[:-1], output.size(1)), *final]


def gradients_of(
    output: Tensor, states: Sequence[Tensor], grads: Sequence[Tensor | None]
) -> tuple[Tensor, list[Tensor]]:
    """The gradients of the output and the last states, zeros where there are none."""
    first, *rest = (
        torch.zeros_like(value) if grad is None else grad
        for grad, value in zip(grads, (output, *states), strict=True)
    )
    return first, rest


def backward_pass(
    fused: Fused,
    batch: Batch,
    weights: Sequence[Tensor],
    states: Sequence[Tensor],
    constants: Sequence[float],
    made: tuple[Tensor, Sequence[Tensor]] | None,
    grad_output: Tensor,
    grad_states: Sequence[Tensor],
    needs_data: bool,
    overwrites: bool,
) -> list[Tensor]:
    """Gradients of data, weights and states.

    Args:
        made: the output and what was kept; ``None``: the forward pass runs again.
        overwrites: what was kept may be used up.
    """
    if made is None:
        tensors = forward_pass(fused, batch, weights, states, constants, True)
    else:
        tensors = dict(zip(kept_names(fused), made[1], strict=True))
        tensors[_output_name(fused)] = made[0].flatten(0, -2)
        tensors |= {f"S0.{name}": s for name, s in zip(fused.plan.states, states, strict=True)}
        tensors["X"] = batch.data
    grad_data, grads, grad_first = _kernel(fused, batch).backward(
        batch,
        tensors,
        dict(zip(fused.weights, weights, strict=True)),
        constants,
        grad_output.contiguous(),
        [grad.clone(memory_format=torch.contiguous_format) for grad in grad_states],
        needs_data,
        overwrites,
    )
    return [grad_data, *(grads[name] for name in fused.weights), *grad_first]
