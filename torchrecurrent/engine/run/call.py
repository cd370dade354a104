"""Runs a step or a sequence by the path that :mod:`.dispatch` chooses."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from ...checks import is_autocast
from ...interop.torch_twin import TorchTwin
from ..cpu.kernel import REALS
from ..program.given import MASKED, RESETS, Given
from . import onnx, reference
from .again import remember
from .at_once import Newton
from .autograd import join_delay, sequence, split_delay
from .boundary import check_parameters
from .dispatch import Cell, choose, dtype_of_kernel, key_while_compiling
from .kernels import Fused
from .library import sequence_operator
from .twin import run_twin

if TYPE_CHECKING:
    from ...cell import BaseRecurrentCell

__all__ = ["run_sequence", "run_step"]


def run_sequence(
    cell: Cell,
    data: Tensor,
    sizes: Tensor | None,
    states: tuple[Tensor, ...] | None,
    lengths: Tensor | None = None,
    resets: Tensor | None = None,
    masked: Tensor | None = None,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run a whole sequence like :func:`.reference.run`, by the chosen path.

    Args:
        cell: what to step.
        data: the input.
        sizes: the number of sequences that run at each step.
        states: the first ones.
        lengths: of a padded input, in an export to ONNX, the steps of each sequence that count.
        resets: of each step, whether the states are zeros before it.
        masked: of each step, whether it changes nothing.
    """
    parameters = cell.effective_parameters()
    noise = {} if states is None else cell.draw_noise(data, states)
    given = Given(resets=resets is not None, masks=masked is not None)
    for name, flags in ((RESETS, resets), (MASKED, masked)):
        if flags is not None:
            noise[name] = flags.unsqueeze(-1).to(torch.uint8).contiguous()
    if torch.compiler.is_compiling():
        if onnx.exporting_to_onnx():
            return _run_loop(onnx.run, cell, data, lengths, states, parameters, noise)
        key = key_while_compiling(cell, data, parameters, given)
        if key is not None:
            assert states is not None
            return _run_operator(
                cast("BaseRecurrentCell", cell), key, data, sizes, states, parameters, noise
            )
    else:
        check_parameters(cell.parameter_shapes, parameters, data)
        found = choose(cell, data, sizes, states, parameters, given)
        if found is not None:
            assert states is not None
            own = cast("BaseRecurrentCell", cell)
            if isinstance(found, TorchTwin):
                return _run_twin(own, found, data, sizes, states, parameters)
            if isinstance(found, Newton):
                return _run_newton(own, found, data, sizes, states, parameters, noise)
            return _run_fused(own, found, data, sizes, states, parameters, noise)
    return _run_loop(reference.run, cell, data, sizes, states, parameters, noise)


def run_step(
    cell: BaseRecurrentCell, input: Tensor, states: tuple[Tensor, ...]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run one step of ``(N, I)`` or ``(I,)`` by the chosen path.

    The kernel runs only if no gradients are needed: a loop over steps written in Python may need
    gradients of any order.
    """
    parameters, noise = cell.effective_parameters(), cell.draw_noise(input, states)
    if not torch.compiler.is_compiling():
        check_parameters(cell.parameter_shapes, parameters, input)
        if not torch.is_grad_enabled() and input.dim() == 2:
            found = choose(cell, input, None, states, parameters)
            if isinstance(found, Fused):
                return _step_fused(cell, found, input, states, parameters, noise)
    if noise:
        parameters = {**parameters, **noise}
    given, dtype = input.dtype, _autocast_dtype(input, parameters)
    if dtype is not None:
        states = tuple(state.to(dtype) for state in states)
    output, states = cell.update(cell.project(input), states, parameters)
    return (output, states) if dtype is None else _narrowed(output, states, given)


def _step_fused(
    cell: BaseRecurrentCell,
    found: Fused,
    input: Tensor,
    states: tuple[Tensor, ...],
    parameters: reference.EffectiveParameters,
    noise: reference.Noise,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    dtype = input.dtype
    is_c = not found.is_triton(input.device.type)
    if is_c and dtype in REALS and not cell.signature.has_delay and not noise:
        weights = [w.contiguous() for w in parameters.values() if w is not None]
        if all(tensor.dtype is dtype for tensor in (*weights, *states)):
            if not found.plan.gaps:
                remember(cell, dtype)
            return found.straight(dtype)(
                input.contiguous(),
                weights,
                [state.contiguous() for state in states],
                array("d", cell.numbers.values()),
            )
    output, states = _run_fused(cell, found, input.unsqueeze(0), None, states, parameters, noise)
    return output[0], states


def _autocast_dtype(data: Tensor, parameters: reference.EffectiveParameters) -> torch.dtype | None:
    """Return the states' dtype in a reference loop under autocast; ``None`` without autocast."""
    if not is_autocast(data.device):
        return None
    return next((weight.dtype for weight in parameters.values() if weight is not None), None)


def _narrowed(
    output: Tensor, states: tuple[Tensor, ...], dtype: torch.dtype
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return results in the dtype of the input, as every path does under autocast."""
    return output.to(dtype), tuple(state.to(dtype) for state in states)


def _run_loop(
    loop: Callable[..., tuple[Tensor, tuple[Tensor, ...]]],
    cell: Cell,
    data: Tensor,
    sizes: Tensor | None,
    states: tuple[Tensor, ...] | None,
    parameters: reference.EffectiveParameters,
    noise: reference.Noise,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The steps one after the other, by the reference or as ONNX has them."""
    given, dtype = data.dtype, _autocast_dtype(data, parameters)
    if dtype is None or states is None:
        return loop(cell, data, sizes, states, parameters, noise)
    # Autocast decides the dtype of products; the states are as precise as the weights.
    states = tuple(state.to(dtype) for state in states)
    return _narrowed(*loop(cell, data, sizes, states, parameters, noise), given)


def _prepared(
    cell: BaseRecurrentCell,
    data: Tensor,
    states: tuple[Tensor, ...],
    parameters: reference.EffectiveParameters,
    narrow: bool,
) -> tuple[Tensor, list[Tensor], list[Tensor], list[float]]:
    """Return data, parameters, states and numbers as a kernel takes them.

    Args:
        narrow: whether the kernel computes bfloat16 and float16 by itself.
    """
    weights = [weight for weight in parameters.values() if weight is not None]
    dtype = dtype_of_kernel(data, weights, narrow)
    if any(tensor.dtype != dtype for tensor in (data, *weights, *states)):  # narrow, or autocast
        data, weights = data.to(dtype), [w.to(dtype) for w in weights]
        states = tuple(state.to(dtype) for state in states)
    return (
        data.contiguous(),
        [weight.contiguous() for weight in weights],
        [state.contiguous() for state in split_delay(cell, states)],
        list(cell.numbers.values()),
    )


def _masks(noise: reference.Noise, dtype: torch.dtype) -> list[Tensor]:
    """Return masks as a kernel of a dtype takes them."""
    return [mask.to(dtype) if mask.is_floating_point() else mask for mask in noise.values()]


def _run_fused(
    cell: BaseRecurrentCell,
    found: Fused,
    data: Tensor,
    sizes: Tensor | None,
    states: tuple[Tensor, ...],
    parameters: reference.EffectiveParameters,
    noise: reference.Noise,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    narrow = found.is_triton(data.device.type)
    ready, weights, first, constants = _prepared(cell, data, states, parameters, narrow)
    masks = _masks(noise, ready.dtype)
    output, last = sequence(found, cell, ready, sizes, weights, first, constants, masks)
    last = join_delay(cell, last)
    return (output, last) if ready.dtype == data.dtype else _narrowed(output, last, data.dtype)


def _run_newton(
    cell: BaseRecurrentCell,
    found: Newton,
    data: Tensor,
    sizes: Tensor | None,
    states: tuple[Tensor, ...],
    parameters: reference.EffectiveParameters,
    noise: reference.Noise,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    ready, weights, first, constants = _prepared(cell, data, states, parameters, False)
    masks = _masks(noise, ready.dtype)
    output, last = found.run(cell, ready, sizes, weights, first, constants, masks)
    last = join_delay(cell, last)
    return (output, last) if ready.dtype == data.dtype else _narrowed(output, last, data.dtype)


def _run_twin(
    cell: BaseRecurrentCell,
    twin: TorchTwin,
    data: Tensor,
    sizes: Tensor | None,
    states: tuple[Tensor, ...],
    parameters: reference.EffectiveParameters,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    ready, weights, first, _ = _prepared(cell, data, states, parameters, True)
    names = [name for name, weight in parameters.items() if weight is not None]
    narrow = {**parameters, **dict(zip(names, weights, strict=True))}
    output, last = run_twin(twin, cell, ready, sizes, first, narrow)
    return (output, last) if ready.dtype == data.dtype else _narrowed(output, last, data.dtype)


def _run_operator(
    cell: BaseRecurrentCell,
    key: str,
    data: Tensor,
    sizes: Tensor | None,
    states: tuple[Tensor, ...],
    parameters: reference.EffectiveParameters,
    noise: reference.Noise,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run a kernel as one operator of the graph that is being traced."""
    narrow = data.device.type == "cuda"
    ready, weights, first, constants = _prepared(cell, data, states, parameters, narrow)
    keep = torch.is_grad_enabled() and any(
        tensor.requires_grad for tensor in (ready, *weights, *first)
    )
    masks = _masks(noise, ready.dtype)
    output, *rest = sequence_operator(key, ready, sizes, weights, [*first, *masks], constants, keep)
    last = join_delay(cell, tuple(rest[: len(first)]))
    return (output, last) if ready.dtype == data.dtype else _narrowed(output, last, data.dtype)
