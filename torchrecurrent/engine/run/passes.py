"""The two passes of a kernel over a sequence, with tensors in order rather than by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ..cpu.kernel import Kernel
from ..cpu.training import Training
from ..gpu.kernel import TritonKernel
from ..program.batch import Batch
from ..program.buffers import Buffer
from .boundary import check_memory
from .kernels import Fused

__all__ = [
    "backward_pass",
    "check_given",
    "check_kept",
    "forward_pass",
    "gradients_of",
    "outputs",
    "owned",
]


def _kernel(fused: Fused, batch: Batch) -> Kernel | TritonKernel:
    return fused.kernel(batch.data.dtype, batch.data.device.type)


def check_given(
    fused: Fused, batch: Batch, weights: Sequence[Tensor], states: Sequence[Tensor]
) -> None:
    """Raise RuntimeError unless the kernel may read its arguments.

    A cell checks its own calls; this is for calls of the operator, and for those whose tensors
    hooks may have replaced.
    """
    data = batch.data
    lead = data.shape[:-1]
    if batch.sizes is None and (len(lead) != 2 or lead[1] != batch.size):
        raise RuntimeError(f"input: expected shape (T, {batch.size}, I), got {tuple(data.shape)}")
    batch.check_sizes()
    check_memory(
        [
            ("input", data, (*lead, fused.input_size)),
            *zip(fused.weights, weights, fused.shapes, strict=True),
            *(
                (f"state {name}", state, (batch.size, each.units))
                for (name, each), state in zip(fused.buffers.first.items(), states, strict=True)
            ),
        ],
        data.dtype,
        data.device.type,
    )
    b, device = fused.buffers, data.device.type
    check_memory(_masks(batch, b.factors, (batch.size,)), data.dtype, device)
    check_memory(_masks(batch, b.zoned | b.flags, lead), torch.uint8, device)


def _masks(
    batch: Batch, masks: Mapping[str, Buffer], lead: Sequence[int]
) -> list[tuple[str, Tensor, Sequence[int]]]:
    """Return masks with the names and shapes that they should have."""
    return [
        (f"mask {name}", batch.noise[each.name], (*lead, each.units))
        for name, each in masks.items()
    ]


def forward_pass(
    fused: Fused,
    batch: Batch,
    weights: Sequence[Tensor],
    states: Sequence[Tensor],
    constants: Sequence[float],
    keep: bool,
) -> dict[str, Tensor]:
    """Return all tensors that the pass makes, under their names in the kernel."""
    named = dict(zip(fused.weights, weights, strict=True))
    return _kernel(fused, batch).forward(batch, named, states, constants, keep)


def outputs(fused: Fused, batch: Batch, tensors: Mapping[str, Tensor], keep: bool) -> list[Tensor]:
    """Return the output at all steps, and each sequence's states after its last step."""
    last, states = batch.last_rows, fused.buffers.states.values()
    final = [
        tensors[each.name][last].clone() if each.is_long(keep) else tensors[each.name]
        for each in states
    ]
    return [tensors["output"], *final]


def gradients_of(
    output: Tensor, states: Sequence[Tensor], grads: Sequence[Tensor | None]
) -> tuple[Tensor, list[Tensor]]:
    """Return the gradients of the output and the last states, zeros for those that are missing.

    Those of the states are nobody else's.
    """
    first, *rest = grads
    return torch.zeros_like(output) if first is None else first, [
        torch.zeros_like(value) if grad is None else owned(grad)
        for grad, value in zip(rest, states, strict=True)
    ]


def owned(grad: Tensor) -> Tensor:
    """Return a copy that is contiguous, for a kernel to overwrite."""
    return grad.clone(memory_format=torch.contiguous_format)


def _check_gradients(
    fused: Fused, batch: Batch, grad_output: Tensor, grad_states: Sequence[Tensor]
) -> None:
    data, b = batch.data, fused.buffers
    check_memory(
        [
            ("the gradient of the output", grad_output, (*data.shape[:-1], b.output.units)),
            *(
                (f"the gradient of state {name}", grad, (batch.size, each.units))
                for (name, each), grad in zip(b.states.items(), grad_states, strict=True)
            ),
        ],
        data.dtype,
        data.device.type,
    )


def check_kept(
    fused: Fused,
    batch: Batch,
    output: Tensor,
    kept: Sequence[Tensor],
    training: Training | None = None,
) -> None:
    """Raise RuntimeError unless the kernel may read the tensors kept for the backward pass.

    Args:
        fused: the kernel.
        batch: the sequences.
        output: of the forward pass.
        kept: what else was kept.
        training: the passes that keep it as one tensor; ``None``: each buffer is one.
    """
    data, b = batch.data, fused.buffers
    where = "kept for the backward pass"
    wanted: list[tuple[str, tuple[int, ...]]]
    if training is None:
        wanted = [(each.name, (batch.rows, each.units)) for each in b.kept]
    else:
        wanted = [("values", (training.kept_length(data),))]
    check_memory(
        [
            (f"output, {where}", output, (*data.shape[:-1], b.output.units)),
            *(
                (f"{name}, {where}", tensor, shape)
                for (name, shape), tensor in zip(wanted, kept, strict=True)
            ),
        ],
        data.dtype,
        data.device.type,
    )


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
    """Return the gradients of data, weights and states.

    Args:
        made: the output and the kept tensors; ``None``: the forward pass runs again.
        grad_states: the gradients of the last states, contiguous; they are overwritten.
        overwrites: whether the kept tensors may be overwritten.
    """
    grad_output = grad_output.contiguous()
    _check_gradients(fused, batch, grad_output, grad_states)
    if made is None:
        tensors = forward_pass(fused, batch, weights, states, constants, True)
    else:
        b, (output, kept) = fused.buffers, made
        buffers = (b.data, *b.first.values(), b.output, *b.kept)
        given = (batch.data, *states, output.flatten(0, -2), *kept)
        tensors = {each.name: tensor for each, tensor in zip(buffers, given, strict=True)}
    grad_data, grads, grad_first = _kernel(fused, batch).backward(
        batch,
        tensors,
        dict(zip(fused.weights, weights, strict=True)),
        constants,
        grad_output,
        grad_states,
        needs_data,
        overwrites,
    )
    return [grad_data, *(grads[name] for name in fused.weights), *grad_first]
