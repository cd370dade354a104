"""A second opinion: every cell traced by torch as a module, beside our own tracer of steps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchrecurrent import BaseRecurrentCell
from torchrecurrent.engine.modules.build import plan_of_module
from torchrecurrent.engine.modules.capture import Call, tensors_of
from torchrecurrent.engine.run.autograd import join_delay, sequence, split_delay
from torchrecurrent.engine.run.kernels import Fused, fused
from torchrecurrent.engine.run.proof import check_module

from .making import make


def results(output: Tensor, last: tuple[Tensor, ...], leaves: list[Tensor]) -> list[Tensor]:
    """Output, last states, and the gradients of a loss in which all of them have weights."""
    generator = torch.Generator().manual_seed(2)
    made = [output, *last]
    weighted = [
        (each * torch.randn(each.shape, generator=generator, dtype=each.dtype)).sum()
        for each in made
    ]
    grads = torch.autograd.grad(torch.stack(weighted).sum(), leaves, allow_unused=True)
    return [*made, *(torch.zeros(()) if grad is None else grad for grad in grads)]


def test_the_same_by_either_tracer(cell_class: type[BaseRecurrentCell]) -> None:
    """Both of ``derive``'s backward passes agree, and the trace has the gradients of autograd."""
    cell: Any = make(cell_class)
    call = Call(cell.input_size, cell.state_widths, torch.float64)

    def step(input: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        made: tuple[Tensor, tuple[Tensor, ...]] = cell.update(
            cell.project(input), states, cell.effective_parameters()
        )
        return made

    made = plan_of_module(cell, step, call)
    check_module(cell, step, call, made, makes_states=False)

    generator = torch.Generator().manual_seed(3)
    shapes = [(4, 3, cell.input_size), *((3, width) for width in cell.state_widths)]
    data, *states = (
        torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()
        for shape in shapes
    )
    leaves = [data, *states, *cell.parameters()]
    kernel = Fused("second", made.plan, call.input_size, made.shapes, (cell_class,), True)
    weights = [each.contiguous() for each in made.compute(tensors_of(cell)).values()]
    ours = results(*sequence(kernel, cell, data, None, weights, list(states), [], []), leaves)

    declared, named = fused(cell), cell.effective_parameters()
    assert isinstance(declared, Fused)
    weights = [named[name] for name in declared.weights]
    constants = [float(getattr(cell, name)) for name in cell.constants]
    first = list(split_delay(cell, tuple(states)))
    output, last = sequence(declared, cell, data, None, weights, first, constants, [])
    theirs = results(output, join_delay(cell, last), leaves)
    for a, b in zip(ours, theirs, strict=True):
        # float64; sums are in another order, over a few steps of a cell that may be steep
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-9)
