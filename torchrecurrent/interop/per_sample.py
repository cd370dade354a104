"""Separate gradients for each sample, for differentially private training with opacus.

opacus computes them in a module's hooks, from its input and the gradient of its output. That is
not enough for a cell, whose state comes from elsewhere and has gradients of its own. So a cell
that opacus watches gives each sample a copy of every parameter, and adds the copies' gradients to
those that opacus collects. It then runs the reference loop.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence
from torch.utils.hooks import RemovableHandle

if TYPE_CHECKING:
    from ..cell import BaseRecurrentCell

__all__ = ["PerSample", "is_opacus", "watch"]

States = tuple[Tensor, ...]


def is_opacus(hook: Callable[..., Any]) -> bool:
    """Whether a backward hook is one of opacus', which collects the gradients of samples."""
    watcher = getattr(getattr(hook, "func", None), "__self__", None)
    return (
        isinstance(hook, partial)
        and "loss_reduction" in hook.keywords
        and hasattr(watcher, "GRAD_SAMPLERS")
    )


def watch(cell: BaseRecurrentCell, hook: Callable[..., Any]) -> RemovableHandle | None:
    """Take over a backward hook of opacus; return ``None`` for any other.

    Raises:
        NotImplementedError: for a mode of opacus that needs gradients in another form.
    """
    if not is_opacus(hook):
        return None
    assert isinstance(hook, partial)
    watcher: Any = hook.func.__self__  # type: ignore[attr-defined]
    if not hook.func.__qualname__.startswith("GradSampleHooks."):
        raise NotImplementedError(
            f"{type(watcher).__name__}: {type(cell).__name__} has gradients for each sample with "
            "opacus' GradSampleModule alone"
        )
    watcher.GRAD_SAMPLERS.setdefault(type(cell), _collect)
    cell.register_forward_pre_hook(_state_by_keyword, with_kwargs=True)
    cell.per_sample = PerSample(watcher, hook)
    return cell.per_sample.handle


def _state_by_keyword(
    _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Pass the state by keyword: opacus takes every positional argument to be a tensor."""
    if len(args) == 2:
        return args[:1], {**kwargs, "hx": args[1]}
    return args, kwargs


class PerSample:
    """The samples' gradients of one cell.

    Args:
        watcher: opacus' hooks.
        hook: the hook to call in the backward pass.
    """

    def __init__(self, watcher: Any, hook: partial[Any]) -> None:
        self._watcher = watcher
        #: The hook, until its handle removes it.
        self._hooks: OrderedDict[int, partial[Any]] = OrderedDict()
        self.handle = RemovableHandle(self._hooks)
        self._hooks[self.handle.id] = hook
        #: Whether the loss is a mean over samples, whose gradients are then scaled.
        self._mean = hook.keywords["loss_reduction"] == "mean"
        #: The calls whose hooks have not yet run.
        self.calls: list[Call] = []
        self._order: Tensor | None = None

    def active(self, cell: BaseRecurrentCell) -> bool:
        """Whether opacus observes a call."""
        trainable = any(parameter.requires_grad for parameter in cell.parameters())
        listens = self._hooks and self._watcher.hooks_enabled
        return bool(listens and cell.training and torch.is_grad_enabled() and trainable)

    @contextmanager
    def sorted_by(self, order: Tensor | None) -> Iterator[None]:
        """Within the block, know the caller's index of each sequence, if a layer sorted them."""
        self._order = order
        try:
            yield
        finally:
            self._order = None

    def fire(self, cell: BaseRecurrentCell, grad_output: Tensor) -> None:
        """Call the hook as a module would."""
        for hook in list(self._hooks.values()):
            hook(cell, (None,), (grad_output,))

    def run(
        self, cell: BaseRecurrentCell, data: Tensor, sizes: Tensor | None, states: States
    ) -> tuple[Tensor, States]:
        """Run a sequence like :func:`torchrecurrent.engine.run.reference.run`."""
        call = Call(self._mean, states[0].size(0), self._order)
        self.calls.append(call)
        if sizes is None:
            padded, mask = data, data.new_ones(data.shape[:2], dtype=torch.bool)
        else:
            padded, lengths = pad_packed_sequence(PackedSequence(data, sizes))
            mask = torch.arange(len(sizes)).unsqueeze(1) < lengths
            mask = mask.to(data.device)
        copies = {
            f"cell.{name}": _Copies.apply(parameter, call)  # type: ignore[no-untyped-call]
            for name, parameter in cell.named_parameters()
            if parameter.requires_grad
        }
        alone = _Alone(cell)

        def one(parts: dict[str, Tensor], *given: Any) -> tuple[Tensor, States]:
            return torch.func.functional_call(alone, parts, given)  # type: ignore[no-any-return]

        dims = tuple(0 for _ in states)
        out_dims: Any = (1, dims)
        each = torch.func.vmap(one, in_dims=(0, 1, 1, dims), out_dims=out_dims)
        output, last = each(copies, padded, mask, states)
        output = output if sizes is None else output[mask]
        output, *rest = _Watched.apply(self, cell, output, *last)  # type: ignore[no-untyped-call]
        return output, tuple(rest)


class Call:
    """One call of a cell, and the destination of its gradients.

    Args:
        mean: whether the gradients are scaled by the number of samples.
        running: the number of sequences that the cell runs.
        order: the caller's index of each sequence; those that don't run come last.
    """

    def __init__(self, mean: bool, running: int, order: Tensor | None) -> None:
        self.mean, self.running = mean, running
        self.samples = running if order is None else len(order)
        self._rows: Any = slice(running) if order is None else order[:running]
        self._targets: dict[nn.Parameter, Tensor] = {}

    def add(self, parameter: nn.Parameter, grad: Tensor) -> None:
        """Add the gradients of all samples to those that opacus has or is about to get."""
        target = self._targets.get(parameter)
        if target is None:
            target = self._current(parameter)
        target[self._rows] += grad * self.samples if self.mean else grad

    def hand_over(self, parameter: nn.Parameter) -> None:
        """Give opacus the sum of this batch, which it may move elsewhere."""
        self._targets[parameter] = self._current(parameter)

    def _current(self, parameter: nn.Parameter) -> Tensor:
        if not hasattr(parameter, "_current_grad_sample"):
            zeros = parameter.new_zeros((self.samples, *parameter.shape))
            parameter._current_grad_sample = zeros  # type: ignore[attr-defined]
        return parameter._current_grad_sample  # type: ignore[attr-defined, no-any-return]


def _collect(cell: BaseRecurrentCell, *_: object) -> dict[nn.Parameter, Tensor]:
    """Return no gradients when opacus asks for them in the hook: they are added separately."""
    watched = cell.per_sample
    assert watched is not None
    call = watched.calls.pop()
    for parameter in cell.parameters():
        if parameter.requires_grad:
            call.hand_over(parameter)
    return {}


class _Alone(nn.Module):
    """A cell over one sequence, without its hooks."""

    def __init__(self, cell: BaseRecurrentCell) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, data: Tensor, mask: Tensor, states: States) -> tuple[Tensor, States]:
        cell, outputs = self.cell, []
        parameters = cell.effective_parameters()
        for parts, runs in zip(
            zip(*(part.unbind(0) for part in cell.project(data)), strict=True),
            mask.unbind(0),
            strict=True,
        ):
            output, new = cell.update(parts, states, parameters)
            outputs.append(output)
            states = tuple(
                torch.where(runs, after, before) for after, before in zip(new, states, strict=True)
            )
        return torch.stack(outputs), states


class _Watched(torch.autograd.Function):
    """Reports the gradients of results to opacus, whichever of them the loss depends on.

    A module's own backward hooks observe only an output, not a tuple of states within it.
    """

    @staticmethod
    def forward(
        ctx: Any, owner: PerSample, cell: BaseRecurrentCell, *values: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.owner, ctx.cell = owner, cell
        return tuple(value.view_as(value) for value in values)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        ctx.owner.fire(ctx.cell, grads[0])
        return (None, None, *grads)


class _Copies(torch.autograd.Function):
    """Copies a parameter for each sample, so that its gradients are collected separately."""

    @staticmethod
    def forward(ctx: Any, parameter: nn.Parameter, call: Call) -> Tensor:
        ctx.parameter, ctx.call = parameter, call
        return parameter.detach().expand(call.running, *parameter.shape).clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        ctx.call.add(ctx.parameter, grads[0].detach())
        return grads[0].sum(0), None
