"""Compares what was traced of a module with the module itself, before a kernel runs in its place.

A trace sees operations on tensors. What Python does besides, such as a branch on the size of the
batch, a block without gradients or a gradient of one's own, shows in numbers only.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..ir.trace import UntraceableError
from ..modules.build import ModulePlan
from ..modules.capture import Call, Step, called, tensors_of
from .interpreted import Interpreted

__all__ = ["check_module"]

#: The sizes of batches; the trace was made with others, and one alone is often a special case.
_BATCHES = (1, 5)
#: Both sides are computed in float64, but some constants of torch's are rounded to float32: the
#: sixth in the gradient of hardsigmoid. All that is no rounding is larger.
_TOLERANCE = 1e-7


def check_module(
    module: nn.Module, step: Step, call: Call, made: ModulePlan, makes_states: bool
) -> None:
    """Compare a step and its gradients, in float64, on random data.

    Args:
        module: the module.
        step: calls it.
        call: the sizes.
        made: what was traced.
        makes_states: whether the module is called without states at first.

    Raises:
        UntraceableError: they differ, or the module fails.
    """
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    def close(ours: Sequence[Tensor | None], theirs: Sequence[Tensor | None], what: str) -> None:
        for a, b in zip(ours, theirs, strict=True):
            first, second = (
                torch.zeros((), dtype=torch.float64) if each is None else each.detach().double()
                for each in (a, b)
            )
            first, second = torch.broadcast_tensors(first, second)
            size = 1 + float(second.nan_to_num(0, 0, 0).abs().max())
            if not torch.allclose(first, second, 0, _TOLERANCE * size, equal_nan=True):
                raise UntraceableError(
                    f"{what} of its forward is not that of the operations that were traced"
                )

    with torch.random.fork_rng(), torch.inference_mode(False), torch.enable_grad():
        for batch in _BATCHES:
            own = {}
            learned = dict(module.named_parameters())
            for name, tensor in tensors_of(module).items():
                value = tensor.detach().cpu()
                value = value.double() if value.is_floating_point() else value
                if name in learned:
                    # parameters that begin as zero would hide mistakes
                    value = value + 0.1 * normal(*value.shape) * (batch > 1)
                    value.requires_grad_()
                own[name] = value
            data = normal(batch, call.input_size).requires_grad_()
            states = [normal(batch, width).requires_grad_() for width in call.widths]
            leaves = [data, *states, *(each for each in own.values() if each.requires_grad)]
            theirs = _run(module, step, own, data, tuple(states))
            stepper = Interpreted(made.plan, made.compute(own))
            output, new = stepper.update(stepper.project(data), tuple(states), {})
            ours = [output, *new]
            if [each.shape for each in ours] != [each.shape for each in theirs]:
                raise UntraceableError("the shapes of its results depend on the size of the batch")
            close(ours, theirs, "the result")
            weights = [normal(*each.shape) for each in ours]
            close(_grads(ours, leaves, weights), _grads(theirs, leaves, weights), "the gradient")
            if makes_states:
                zeros = tuple(torch.zeros_like(each) for each in states)
                begun = _run(module, step, own, data, ())
                again = _run(module, step, own, data, zeros)
                if [each.shape for each in begun] != [each.shape for each in again] or not all(
                    map(torch.equal, begun, again)
                ):
                    raise UntraceableError("the state that it begins with is not zero")


def _run(
    module: nn.Module, step: Step, own: dict[str, Tensor], data: Tensor, states: tuple[Tensor, ...]
) -> list[Tensor]:
    try:
        return called(module, step, own, data, states)
    except UntraceableError:
        raise
    except Exception as error:  # whatever a module does
        first = str(error).strip().partition("\n")[0]
        raise UntraceableError(
            f"its forward fails on float64 on the CPU, where it is checked: {first}"
        ) from error


def _grads(
    results: Sequence[Tensor], leaves: Sequence[Tensor], weights: Sequence[Tensor]
) -> list[Tensor | None]:
    pairs = [(each, w) for each, w in zip(results, weights, strict=True) if each.requires_grad]
    if not pairs:
        return [None] * len(leaves)
    values, cotangents = zip(*pairs, strict=True)
    return list(torch.autograd.grad(values, leaves, cotangents, allow_unused=True))
