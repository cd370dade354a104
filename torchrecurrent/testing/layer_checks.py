"""Checks of a layer of the cell, over sequences."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..cell import BaseRecurrentCell
from ..declaration.noise import multiplied
from ..engine import Backend, backend
from ..layers.recurrent import Recurrent
from ..layers.states import stack_states
from ..roles import StateRole
from .step_checks import compare_gradients
from .subject import FaultError, Subject, check, jitter, require, require_same, step, tensors

__all__ = [
    "batch_order",
    "bidirectional",
    "gaps",
    "gradients_through_time",
    "kernel",
    "noise",
    "one_step",
    "padding",
    "two_halves",
]


def layer_of(cell: BaseRecurrentCell) -> Recurrent:
    """Return a layer of this cell."""
    return Recurrent(cell, cell.input_size, cell.hidden_size)


def state_of(layer: Recurrent, *cells: Sequence[Tensor]) -> Any:
    """Return the state of a layer from those of its cells, each ``(N, width)``."""
    return stack_states(layer.cells, [tuple(states) for states in cells])  # type: ignore[arg-type]


def rows(state: Any) -> list[Tensor]:
    """Return the states ``(N, width)`` of a layer with one cell."""
    return [each[0] if each.dim() == 3 else each for each in tensors(state)]


@check
def one_step(subject: Subject) -> None:
    """A sequence of one step has the same result as the cell."""
    cell = subject.make()
    input, states = subject.input(1, 2), subject.states(cell, 2)
    layer = layer_of(cell)
    output, last = layer(input, state_of(layer, states))
    expected, new = step(cell, input[0], states)
    require_same("the output of one step, by the layer and by the cell", output[0], expected)
    require_same("the state after one step, by the layer and by the cell", rows(last), new)


@check
def two_halves(subject: Subject) -> None:
    """A sequence cut in two, with the state carried over, has the same result as the whole."""
    layer = layer_of(subject.make())
    input = subject.input(5, 3)
    output, last = layer(input)
    for cut in (1, 3):
        first, middle = layer(input[:cut])
        second, end = layer(input[cut:], middle)
        what = f"of 5 steps, cut after {cut} and in one piece"
        require_same(f"the outputs {what}", torch.cat([first, second]), output)
        require_same(f"the state {what}", end, last)


@check
def padding(subject: Subject) -> None:
    """Values after the end of a sequence, even NaN, affect neither results nor gradients."""
    layer = layer_of(subject.make())
    lengths = [2, 5, 1, 4]
    input = subject.input(5, 4)
    for n, length in enumerate(lengths):
        input[length:, n] = torch.nan
    output, last = layer(input, lengths=lengths)
    for n, length in enumerate(lengths):
        expected, state = layer(input[:length, n])
        what = f"of a sequence of {length} steps, padded to 5 and by itself"
        require_same(f"the output {what}", output[:length, n], expected)
        require_same(f"the state {what}", [each[..., n, :] for each in tensors(last)], state)
        require(not output[length:, n].any(), "the output after a sequence's end is not zero")
    torch.stack([each.sum() for each in tensors((output, last))]).sum().backward()
    for name, parameter in layer.named_parameters():
        finite = parameter.grad is None or bool(parameter.grad.isfinite().all())
        require(finite, f"a NaN in the padding comes through to the gradient of {name}")


@check
def batch_order(subject: Subject) -> None:
    """Reordering the sequences of a batch reorders the outputs and changes nothing else."""
    layer = layer_of(subject.make())
    order = torch.tensor([2, 0, 5, 3, 1, 4])
    input = subject.input(4, 6)
    output, last = layer(input)
    permuted, end = layer(input[:, order])
    require_same("the outputs of a batch in another order", permuted, output[:, order])
    found = [state[..., order, :] for state in tensors(last)]
    require_same("the states of a batch in another order", end, found)


@check
def bidirectional(subject: Subject) -> None:
    """A bidirectional layer has two cells with separate parameters; the second reads backwards."""
    layer = Recurrent(
        subject.factory,
        subject.input_size,
        subject.hidden_size,
        bidirectional=True,
        dtype=torch.float64,
    )
    jitter(layer.eval())
    forwards, backwards = ({id(each) for each in cell.parameters()} for cell in layer.cells)
    require(not forwards & backwards, "the cells of the two directions share a parameter")
    input = subject.input(4, 2)
    output, last = layer(input)
    one, other = (Recurrent(cell, cell.input_size, cell.hidden_size) for cell in layer.cells)  # type: ignore[arg-type]
    first, states = one(input)
    second, ends = other(input.flip(0))
    require_same(
        "two directions at once and one by one", output, torch.cat([first, second.flip(0)], -1)
    )
    expected = state_of(layer, rows(states), rows(ends))
    require_same("the states of two directions, at once and one by one", last, expected)


@check
def gradients_through_time(subject: Subject) -> None:
    """Backward through a sequence agrees with finite differences."""
    layer = layer_of(subject.make())

    def sequence(input: Tensor, *_: Tensor) -> tuple[Tensor, ...]:
        return tuple(tensors(layer(input)))

    compare_gradients(sequence, {"the input": subject.input(3, 2)}, layer, fast=True)


@check
def kernel(subject: Subject) -> None:
    """The fused kernel, if ``explain`` says that it runs, agrees with the reference loop."""
    compare_paths(layer_of(subject.make()), subject.input(7, 5))


@check
def noise(subject: Subject) -> None:
    """Zoneout is the mean of old and new; in training kernel and loop drop and keep alike."""
    cell, rate = subject.make(), 0.4
    mixed = {each.name for each in cell.signature.having(StateRole)}  # not a delay line
    states = cell.initial_states((3,), subject.input(3))
    for row in subject.input(4, 3):
        cell.zoneout = 0.0
        _, after = step(cell, row, states)
        cell.zoneout = rate
        _, found = step(cell, row, states)
        for name, old, new, state in zip(cell.state_names, states, after, found, strict=True):
            expected = rate * old + (1 - rate) * new if name in mixed else new
            require_same(f"state {name} with zoneout={rate}", state, expected)
        states = found
    if not paths_agree(subject.make(), subject.input(7, 5)):
        return  # without noise: another check says so
    if multiplied(cell):
        cell.recurrent_dropout = rate
    compare_paths(layer_of(cell).train(), subject.input(7, 5))


@check
def gaps(subject: Subject) -> None:
    """A step with a time of its own is that of a cell whose option is this time."""
    cell = subject.make()
    if cell.signature.gap is None:
        return
    input, dt = subject.input(7, 5), torch.linspace(0.1, 1, 35, dtype=torch.float64).view(7, 5)
    states = cell.initial_states((5,), input)
    hx = states[0] if len(states) == 1 else states
    for time in dt[:, 0]:
        found = cell(input[0], hx, dt=time.expand(5))
        setattr(cell, cell.signature.gap, float(time))
        expected = cell(input[0], hx)
        for ours, theirs in zip(tensors(found), tensors(expected), strict=True):
            require_same(f"a step with dt={float(time):.3g}", ours, theirs)
    if paths_agree(cell, input):  # without times; if not, another check says so
        compare_paths(layer_of(cell), input, dt)


def paths_agree(cell: BaseRecurrentCell, input: Tensor) -> bool:
    """Whether kernel and loop agree, if there is a kernel."""
    try:
        compare_paths(layer_of(cell), input)
    except FaultError:
        return False
    return True


def compare_paths(layer: Recurrent, input: Tensor, dt: Tensor | None = None) -> None:
    """Require that kernel and loop agree, if there is a kernel."""
    with torch.no_grad():
        hx = layer(input)[1]
    with warnings.catch_warnings(), backend("auto"):
        warnings.simplefilter("ignore")  # about a missing compiler
        fused = ": c: " in layer.explain(input, hx, dt=dt)
    if fused:
        expected = results(layer, input, hx, "reference", dt)
        found = results(layer, input, hx, "c", dt)
        for name, value in expected.items():
            require_same(
                f"{name}, by the fused kernel and by the reference loop", found[name], value
            )


def results(
    layer: Recurrent, input: Tensor, hx: Any, path: Backend, dt: Tensor | None
) -> dict[str, Tensor]:
    """Return output, states and all gradients of a padded batch, by name."""
    leaf, times = input.clone().requires_grad_(), None
    if dt is not None:
        times = dt.clone().requires_grad_()
    states = [state.clone().requires_grad_() for state in rows(hx)]
    layer.zero_grad()
    torch.manual_seed(0)
    with backend(path):
        output, last = layer(leaf, state_of(layer, states), lengths=[4, 1, 7, 2, 7], dt=times)
    found = {"the output": output}
    found |= {f"state {k}": state for k, state in enumerate(tensors(last))}
    # Each result has its own weight: the gradient of a plain sum would hide exchanges.
    weighted = [
        (each * torch.linspace(1, 2, each.numel()).view(each.shape)).sum()
        for each in found.values()
    ]
    torch.stack(weighted).sum().backward()
    leaves = {"the input": leaf, **dict(layer.cells[0].named_parameters())}
    leaves |= {f"first state {k}": state for k, state in enumerate(states)}
    leaves |= {} if times is None else {"dt": times}
    for name, value in leaves.items():
        if value.grad is not None:
            found[f"the gradient of {name}"] = value.grad.clone()
    return found
