"""A long sequence in pieces whose steps are computed again for the backward pass.

Between the passes only the states at the ends of the pieces are kept. Unlike pieces under
:func:`torch.utils.checkpoint.checkpoint`, they write to one output, and the forward pass is the one
without gradients, which is quicker and makes nothing to throw away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import get_device_states, set_device_states

__all__ = ["run_in_pieces"]

States = tuple[Tensor, ...]
#: Runs a sequence: its data, how many sequences run at each step, the first states.
Run = Callable[[Tensor, Tensor | None, States], tuple[Tensor, States]]


def run_in_pieces(
    run: Run, cell: nn.Module, every: int, data: Tensor, sizes: Tensor | None, states: States
) -> tuple[Tensor, States]:
    """The outputs, and the last states.

    Args:
        run: a whole sequence, by ``cell``.
        cell: with the parameters.
        every: how many steps a piece has.
        data: ``(T, N, I)``; or the rows of all steps, where ``sizes`` says how many each has.
        sizes: how many sequences run at each step; never rises.
        states: the first, each ``(N, width)``.
    """
    parameters = list(cell.parameters())
    pieces = _Pieces(run, every, sizes, len(states))
    again: Any = _Again
    output, *last = again.apply(pieces, data, *states, *parameters)
    return output, tuple(last)


@dataclass(frozen=True)
class _Pieces:
    run: Run
    every: int
    sizes: Tensor | None
    states: int

    def cut(self, data: Tensor) -> Iterator[tuple[slice, Tensor | None]]:
        """The rows of each piece, and how many sequences run at each of its steps."""
        if self.sizes is None:
            for start in range(0, len(data), self.every):
                yield slice(start, start + self.every), None
            return
        start = 0
        for counts in self.sizes.split(self.every):
            stop = start + int(counts.sum())
            yield slice(start, stop), counts
            start = stop


class _Context:
    """The state of torch that a piece depends on: random numbers, and autocast."""

    def __init__(self, data: Tensor) -> None:
        self._random = torch.get_rng_state()
        self._devices = get_device_states(data)
        kind = data.device.type
        self._autocast = torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)
        self._kind = kind

    def again(self, run: Run, *args: Any) -> tuple[Tensor, States]:
        enabled, dtype = self._autocast
        with (
            torch.random.fork_rng(self._devices[0]),
            torch.autocast(self._kind, dtype=dtype, enabled=enabled),
        ):
            torch.set_rng_state(self._random)
            set_device_states(*self._devices)
            return run(*args)


class _Again(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, pieces: _Pieces, data: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        states = others[: pieces.states]
        output = None
        ctx.begins, ctx.contexts = [], []
        ended: list[States] = []
        for rows, counts in pieces.cut(data):
            if counts is not None:
                running = int(counts[0])
                ended.append(tuple(state[running:] for state in states))
                states = tuple(state[:running] for state in states)
            ctx.begins.append(states)
            ctx.contexts.append(_Context(data))
            part, states = pieces.run(data[rows], counts, states)
            if output is None:
                output = part.new_empty((len(data), *part.shape[1:]))
            output[rows] = part
        assert output is not None
        ctx.pieces = pieces
        ctx.save_for_backward(data, *others)
        ctx.set_materialize_grads(False)
        last = [torch.cat(parts) for parts in zip(states, *reversed(ended), strict=True)]
        return output, *last

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        pieces, (data, *others) = ctx.pieces, ctx.saved_tensors
        parameters = others[pieces.states :]
        grad_output, *grad_states = grads
        if pieces.sizes is not None:  # sequences that end before others join their gradients
            grad_states = [
                torch.zeros_like(state) if grad is None else grad
                for grad, state in zip(grad_states, others, strict=False)
            ]
        needs = ctx.needs_input_grad[1:]
        grad_data = torch.empty_like(data) if needs[0] else None
        totals: list[Tensor | None] = [None] * len(parameters)
        for k, (rows, counts) in reversed(list(enumerate(pieces.cut(data)))):
            part = data[rows].detach().requires_grad_(needs[0])
            begins = [state.detach().requires_grad_() for state in ctx.begins[k]]
            with torch.enable_grad():
                output, states = ctx.contexts[k].again(pieces.run, part, counts, tuple(begins))
            running = None if counts is None else int(counts[0])
            given = [None if grad_output is None else grad_output[rows]]
            given += [None if grad is None else grad[:running] for grad in grad_states]
            found = _gradients([output, *states], given, [part, *begins, *parameters])
            if grad_data is not None:
                grad_data[rows] = 0 if found[0] is None else found[0]
            for place, grad in enumerate(found[1 : 1 + pieces.states]):
                grad_states[place] = _joined(grad, grad_states[place], running, begins[place])
            for place, grad in enumerate(found[1 + pieces.states :]):
                total = totals[place]
                totals[place] = grad if total is None or grad is None else total.add_(grad)
        return None, grad_data, *grad_states, *totals


def _gradients(
    results: Sequence[Tensor], grads: Sequence[Tensor | None], inputs: Sequence[Tensor]
) -> list[Tensor | None]:
    """The gradients of ``inputs``; ``None`` where one has no share in the results."""
    pairs = [
        (result, grad)
        for result, grad in zip(results, grads, strict=True)
        if grad is not None and result.requires_grad
    ]
    found: list[Tensor | None] = [None] * len(inputs)
    wanted = [k for k, each in enumerate(inputs) if each.requires_grad]
    if pairs and wanted:
        made = torch.autograd.grad(
            [result for result, _ in pairs],
            [inputs[k] for k in wanted],
            [grad for _, grad in pairs],
            allow_unused=True,
        )
        for k, grad in zip(wanted, made, strict=True):
            found[k] = grad
    return found


def _joined(
    grad: Tensor | None, before: Tensor | None, running: int | None, like: Tensor
) -> Tensor | None:
    """The gradient of a state at the begin of a piece, and of those that had ended before."""
    if running is None or before is None:
        return grad
    return torch.cat([torch.zeros_like(like) if grad is None else grad, before[running:]])
