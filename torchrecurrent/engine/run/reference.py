"""Defines what a cell computes: one step, and the reference loop over a sequence.

Work that does not depend on the state is done before the loop: the input is projected
for all time steps at once (:func:`project`), the effective parameters are computed once.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ... import roles
from ...across import Across
from ...declaration.arguments import CellSource
from ...declaration.integration import INTEGRATORS
from ...declaration.layout import Block, Run
from ...declaration.noise import DROPPED, ZONED, noise_of
from ...declaration.noise import Noise as CellNoise
from ...declaration.step_contract import (
    BRANCH,
    BranchError,
    check_across,
    check_mapped,
    check_shape,
    returned,
)
from ...roles import INPUT, Weight
from ..program.given import MASKED, RESETS
from .gaps import part_gaps

if TYPE_CHECKING:
    from ...cell import BaseRecurrentCell

__all__ = ["EffectiveParameters", "Stepper", "project", "replayed", "run", "update"]

#: A cell's effective parameters by name, as they are during one sequence.
EffectiveParameters = Mapping[str, Tensor | None]
States = tuple[Tensor, ...]
#: Masks by name, as :class:`~torchrecurrent.declaration.noise.Noise` draws them.
Noise = Mapping[str, Tensor]
_QUIET: Noise = {}


class Stepper(Protocol):
    """The methods of a cell that the loop calls."""

    def project(self, input: Tensor) -> tuple[Tensor, ...]: ...

    def update(
        self, inputs: Sequence[Tensor], states: States | None, parameters: EffectiveParameters
    ) -> tuple[Tensor, States]: ...


class Replay:
    """A cell with given parameters, for the derivative of a finished pass."""

    def __init__(self, cell: BaseRecurrentCell, parameters: EffectiveParameters) -> None:
        self._cell, self._parameters = cell, parameters

    def project(self, input: Tensor) -> tuple[Tensor, ...]:
        return project(self._cell, input, self._parameters)

    def update(
        self, inputs: Sequence[Tensor], states: States | None, parameters: EffectiveParameters
    ) -> tuple[Tensor, States]:
        assert states is not None
        return update(self._cell, inputs, states, parameters)


def replayed(cell: Any, parameters: EffectiveParameters) -> Stepper:
    """Return a cell with given parameters, one of this package or a module from outside."""
    if isinstance(cell, nn.Module):
        return Replay(cast("BaseRecurrentCell", cell), parameters)
    found: Stepper = cell.replayed(parameters)
    return found


def run(
    cell: Stepper,
    data: Tensor,
    sizes: Tensor | None,
    states: States | None,
    parameters: EffectiveParameters,
    noise: Noise = _QUIET,
) -> tuple[Tensor, States]:
    """Run a whole sequence.

    Args:
        cell: what to step.
        data: ``(T, N, I)``; or, for sequences of different lengths, the time steps one after
            the other, ``(sum(sizes), I)``, as in :class:`torch.nn.utils.rnn.PackedSequence`.
        sizes: in the latter case the number of sequences still running at each step, which never
            rises.
        states: each ``(N, width)``; ``None`` if the cell makes its own.
        parameters: its effective parameters.
        noise: the masks that were drawn for it.

    Returns:
        The outputs, laid out as ``data``, and each sequence's state after its last step.
    """
    outputs: list[Tensor] = []
    given = _by_step(parameters, noise, sizes)
    if sizes is None:
        for parts in zip(*(part.unbind(0) for part in cell.project(data)), strict=True):
            output, states = cell.update(parts, states, next(given))
            outputs.append(output)
        assert states is not None  # a sequence has at least one step
        return torch.stack(outputs), states
    counts: list[int] = sizes.tolist()
    ended: list[States] = []
    inputs = zip(*(torch.split(part, counts) for part in cell.project(data)), strict=True)
    for size, parts in zip(counts, inputs, strict=True):
        if states is not None and size < states[0].size(0):
            ended.append(tuple(state[size:] for state in states))
            states = tuple(state[:size] for state in states)
        output, states = cell.update(parts, states, next(given))
        outputs.append(output)
    assert states is not None
    final = zip(states, *reversed(ended), strict=True)
    return torch.cat(outputs), tuple(torch.cat(rows) for rows in final)


def _by_step(
    parameters: EffectiveParameters, noise: Noise, sizes: Tensor | None
) -> Iterator[EffectiveParameters]:
    """Yield the parameters of each step, with the masks of those sequences that run."""
    if not noise:
        yield from itertools.repeat(parameters)
    counts: list[int] | None = None if sizes is None else sizes.tolist()
    fixed = {name: mask for name, mask in noise.items() if name.startswith(DROPPED)}
    moving = {
        name: mask.unbind(0) if counts is None else torch.split(mask, counts)
        for name, mask in noise.items()
        if name not in fixed
    }
    for step in itertools.count():
        size = None if counts is None else counts[step]
        now = {name: mask[:size] for name, mask in fixed.items()}
        yield {**parameters, **now, **{name: rows[step] for name, rows in moving.items()}}


def project(
    cell: BaseRecurrentCell, input: Tensor, parameters: EffectiveParameters
) -> tuple[Tensor, ...]:
    """Return the affine projection of ``input``, and ``input`` itself if the step needs it.

    The time since the step before comes last, where it is given.
    """
    blocks, layout = cell.layout.projected, cell.layout
    input, gaps = part_gaps(cell, input)
    if not blocks:
        return (input, *gaps)
    raw = (input,) if _reads_input(cell) else ()
    weight, bias = parameters[INPUT.name], parameters.get("bias_ih")
    assert weight is not None
    if len(blocks) < len(layout.blocks(INPUT)):
        rows = blocks[-1].stop
        weight, bias = weight[:rows], None if bias is None else bias[:rows]
    if weight.size(-1) < input.size(-1):
        input = input[..., : weight.size(-1)]
    if not INTEGRATORS[cell.integration].sums or INPUT in layout.named_biases:
        bias = None  # added later, by the integration or by the step
    return (functional.linear(input, weight, bias), *raw, *gaps)


def _reads_input(cell: BaseRecurrentCell) -> bool:
    """Whether a step needs the input itself besides its projection."""
    return bool(cell.layout.identities) or any(cell.signature.having(roles.InputRole))


def update(
    cell: BaseRecurrentCell,
    inputs: Sequence[Tensor],
    states: Sequence[Tensor],
    parameters: EffectiveParameters,
) -> tuple[Tensor, States]:
    """Run one step: give every argument its value, call ``step``, separate output and states.

    Masks that ``parameters`` lack are drawn for this step alone. Where these have flags, states are
    zero before it, or stay what they are.

    Raises:
        StepError: if the step's results differ from its declaration, or it branches on a tensor.
    """
    noise = noise_of(cell)
    if noise.masks and not parameters.keys() >= set(noise.masks):
        widths = dict(zip(cell.state_names, cell.state_widths, strict=True))
        rows = states[0].shape[:-1]
        parameters = {**parameters, **noise.draw(widths, rows, states[0], rows)}
    anew, masked = parameters.get(RESETS), parameters.get(MASKED)
    if anew is not None:
        states = [state.masked_fill(anew != 0, 0.0) for state in states]
    arguments = _Tensors(cell, inputs, states, parameters).arguments()
    new = _returned(cell, arguments, states)
    output = new[0] if cell.signature.has_output else None
    new = new[1:] if cell.signature.has_output else new
    if noise.zoned:
        new = _zoned_out(noise, cell.state_names, states, new, parameters)
    if cell.signature.has_delay:  # the line takes the present state and drops the oldest
        new = (*new, torch.cat([states[-1][..., cell.output_size :], states[0]], -1))
    if masked is not None:
        pairs = zip(states, new, strict=True)
        new = tuple(torch.where(masked != 0, old, each) for old, each in pairs)
    return new[0] if output is None else output, new


def _zoned_out(
    noise: CellNoise,
    names: Sequence[str],
    before: Sequence[Tensor],
    after: Sequence[Tensor],
    parameters: EffectiveParameters,
) -> tuple[Tensor, ...]:
    """Return the new states, of which some units are what they were."""
    found = []
    for name, old, new in zip(names, before, after, strict=False):
        mask = parameters.get(ZONED + noise.stays.get(name, name))
        if mask is not None:
            new = torch.where(mask != 0, old, new)
        elif name in noise.stays and not noise.drawn:
            rate = noise.zoned[noise.stays[name]]
            new = rate * old + (1 - rate) * new
        found.append(new)
    return tuple(found)


def _returned(
    cell: BaseRecurrentCell, arguments: Iterable[Any], states: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """Return the step's results, checked against its declaration."""
    owner = type(cell).__name__
    try:
        result = cell.signature.call(type(cell).step, arguments)
    except RuntimeError as error:
        if "Boolean value of Tensor" in str(error):
            raise BranchError(f"{owner}.step has {BRANCH}") from error
        raise
    values = returned(owner, cell.signature, result, Tensor)
    if _sizes_are_numbers():
        shapes = [state.shape for state in states]
        if cell.signature.has_output:
            shapes.insert(0, torch.Size((*shapes[0][:-1], cell.output_size)))
        found = [value.shape for value in values]
        if found != shapes[: len(found)]:
            for name, each, shape in zip(cell.signature.results, found, shapes, strict=False):
                check_shape(owner, name, each, shape)
    return values


class _Tensors(CellSource):
    """The values of a step's arguments as tensors."""

    def __init__(
        self,
        cell: BaseRecurrentCell,
        inputs: Sequence[Tensor],
        states: Sequence[Tensor],
        parameters: EffectiveParameters,
    ) -> None:
        super().__init__(cell)
        self._gap: Tensor | None = None
        if cell.signature.gap is not None:
            count = 1 + (bool(cell.layout.projected) and _reads_input(cell))
            if len(inputs) > count:
                *inputs, self._gap = inputs
        self._input, self._parameters = inputs[-1], parameters
        self._states = dict(zip(cell.state_names, states, strict=True))
        for argument in cell.signature.having(roles.DelayedRole):  # the oldest step of the line
            self._states[argument.name] = self._states[argument.name][..., : cell.output_size]
        layout = cell.layout
        sizes = [block.stop - block.start for block in layout.projected]
        parts = torch.split(inputs[0], sizes, -1) if sizes else ()
        self._x = {block.name: x for block, x in zip(layout.projected, parts, strict=True)}
        self._s: dict[str, Tensor] = {}
        for run in layout.runs:  # one product for several arguments
            weight = self._rows(run.weight.name, run)
            sums = self.integrator.sums and run.weight not in layout.named_biases
            bias = self._rows(run.weight.bias, run) if sums else None
            assert weight is not None
            read = self.dropped(run.of, self._states[run.of])
            product = recurrent_product(read, weight, bias, run.rows)
            self._s |= zip(run.names, torch.split(product, run.rows, -1), strict=True)

    def _rows(self, name: str | None, rows: Block | Run | None) -> Tensor | None:
        parameter = self._parameters.get(name) if name is not None else None
        return None if parameter is None or rows is None else parameter[rows.start : rows.stop]

    def state(self, name: str) -> Tensor:
        return self._states[name]

    def input(self) -> Tensor:
        return self._input

    def constant(self, name: str) -> Any:
        return self.option(name)

    def factor(self, name: str) -> Tensor | None:
        return self._parameters.get(DROPPED + name)

    def gap(self, name: str) -> Any:
        return self.option(name) if self._gap is None else self._gap

    def scalar(self, name: str) -> Tensor | None:
        return self._parameters[name]

    def vector(self, weight: Weight, name: str) -> Tensor:
        rows = self._rows(weight.name, self.cell.layout.block(weight, name))
        assert rows is not None
        return rows

    def projection(self, name: str) -> Tensor:
        return self._x[name]

    def recurrent(self, name: str, role: roles.ProductRole) -> Tensor:
        return self._s[name]

    def biased(self, value: Tensor, name: str, weights: Sequence[Weight]) -> Any:
        if self.integrator.sums:  # the products include them
            return value
        return self._with_biases(value, name, weights)

    def bias(self, name: str) -> Any:
        """The bias; 0 if all are switched off."""
        return self._with_biases(0.0, name, tuple(self.cell.layout.named_biases))

    def _with_biases(self, value: Any, name: str, weights: Sequence[Weight]) -> Any:
        for weight in weights:
            bias = self._rows(weight.bias, self.cell.layout.bias_block(weight, name))
            value = value if bias is None else value + bias
        return value

    def check_mapped(self, name: str, value: Any, columns: int) -> None:
        if _sizes_are_numbers():
            width = value.shape[-1] if isinstance(value, Tensor) and value.dim() else None
            check_mapped(type(self.cell).__name__, name, width, columns)

    def multiplied(
        self, weight: Weight, names: Sequence[str], value: Tensor, columns: int
    ) -> tuple[Tensor, ...]:
        layout, (first, last) = self.cell.layout, (names[0], names[-1])
        block, end = layout.block(weight, first), layout.block(weight, last)
        assert block is not None
        assert end is not None
        rows = replace(block, stop=end.stop)
        matrix, bias = self._rows(weight.name, rows), None
        bias_block, bias_end = layout.bias_block(weight, first), layout.bias_block(weight, last)
        if bias_block is not None and bias_end is not None:
            bias = self._rows(weight.bias, replace(bias_block, stop=bias_end.stop))
        assert matrix is not None
        units = block.stop - block.start
        product = recurrent_product(value, matrix, bias, units)
        return torch.split(product, units, -1) if len(names) > 1 else (product,)

    def across(self, across: Across, name: str, value: Any, rows: str | None = None) -> Tensor:
        if not isinstance(value, Tensor) or not value.dim():
            check_mapped(type(self.cell).__name__, name, None, 0)
        width = value.size(-1)
        wide = width if rows is None else self.option(rows)
        check_across(type(self.cell).__name__, across, name, width, wide)
        return across.value(value, wide)


def recurrent_product(state: Tensor, weight: Tensor, bias: Tensor | None, units: int) -> Tensor:
    """Return the product of ``state`` with a stack of dense, block-diagonal or diagonal weights.

    Args:
        state: ``(*, W)``.
        weight: ``(R, W)`` dense; ``(R, W/k)`` block-diagonal with k blocks; ``(R,)`` diagonal.
        bias: ``(R,)`` or nothing.
        units: the rows of one weight; R is a multiple of it.
    """
    width = state.size(-1)
    if weight.dim() == 2 and weight.size(1) == width:
        return functional.linear(state, weight, bias)
    if weight.dim() == 1:
        product = (state.unsqueeze(-2) * weight.view(-1, width)).flatten(-2)
    else:
        heads = width // weight.size(1)
        stacked = weight.view(-1, heads, units // heads, weight.size(1))
        slices = state.reshape(*state.shape[:-1], heads, weight.size(1))
        product = torch.einsum("...hi,ghoi->...gho", slices, stacked).flatten(-3)
    return product if bias is None else product + bias


def _sizes_are_numbers() -> bool:
    """Whether sizes can be compared; :func:`torch.jit.trace` has tensors for them, and warns."""
    return not torch.jit.is_tracing()  # type: ignore[attr-defined,no-untyped-call]
