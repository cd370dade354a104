"""The meaning of a cell: one step, and the plain loop over a sequence.

What does not depend on the state is lifted out of the loop: the input is projected
for all time steps at once (:func:`project`), the effective parameters are computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from ... import roles
from ...activations import resolve_activation
from ...declaration.layout import MULTIPLICATIVE, Block, Run
from ...declaration.step_contract import BRANCH, BranchError, check_mapped, check_shape, returned
from ...normalization import average, normalizer
from ...roles import INPUT, Weight

if TYPE_CHECKING:
    from ...cell import BaseRecurrentCell

__all__ = ["EffectiveParameters", "Replay", "Stepper", "project", "run", "update"]

#: A cell's effective parameters by name, as they are during one sequence.
EffectiveParameters = Mapping[str, Tensor | None]
States = tuple[Tensor, ...]


class Stepper(Protocol):
    """What the loop asks of a cell."""

    def project(self, input: Tensor) -> tuple[Tensor, ...]: ...

    def update(
        self, inputs: Sequence[Tensor], states: States | None, parameters: EffectiveParameters
    ) -> tuple[Tensor, States]: ...


class Replay:
    """A cell whose parameters are given, for the derivative of a pass that is over."""

    def __init__(self, cell: BaseRecurrentCell, parameters: EffectiveParameters) -> None:
        self._cell, self._parameters = cell, parameters

    def project(self, input: Tensor) -> tuple[Tensor, ...]:
        return project(self._cell, input, self._parameters)

    def update(
        self, inputs: Sequence[Tensor], states: States | None, parameters: EffectiveParameters
    ) -> tuple[Tensor, States]:
        assert states is not None
        return update(self._cell, inputs, states, parameters)


def run(
    cell: Stepper,
    data: Tensor,
    sizes: Tensor | None,
    states: States | None,
    parameters: EffectiveParameters,
) -> tuple[Tensor, States]:
    """A whole sequence.

    Args:
        cell: what to step.
        data: ``(T, N, I)``; or, for sequences of different lengths, the time steps one after
            the other, ``(sum(sizes), I)``, as in :class:`torch.nn.utils.rnn.PackedSequence`.
        sizes: then how many sequences are still running at each step; never rises.
        states: each ``(N, width)``; ``None`` if the cell makes its own.
        parameters: its effective parameters.

    Returns:
        The outputs, laid out as ``data``, and each sequence's state after its last step.
    """
    outputs: list[Tensor] = []
    if sizes is None:
        for parts in zip(*(part.unbind(0) for part in cell.project(data)), strict=True):
            output, states = cell.update(parts, states, parameters)
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
        output, states = cell.update(parts, states, parameters)
        outputs.append(output)
    assert states is not None
    final = zip(states, *reversed(ended), strict=True)
    return torch.cat(outputs), tuple(torch.cat(rows) for rows in final)


def project(
    cell: BaseRecurrentCell, input: Tensor, parameters: EffectiveParameters
) -> tuple[Tensor, ...]:
    """The affine projection of ``input``, and ``input`` itself if the step asks for it."""
    blocks, layout = cell.layout.projected, cell.layout
    if not blocks:
        return (input,)
    raw = (input,) if any(cell.signature.having(roles.InputRole)) or layout.identities else ()
    weight, bias = parameters[INPUT.name], parameters.get("bias_ih")
    assert weight is not None
    if len(blocks) < len(layout.blocks(INPUT)):
        rows = blocks[-1].stop
        weight, bias = weight[:rows], None if bias is None else bias[:rows]
    if cell.integration == "multiplicative" or INPUT in layout.named_biases:
        bias = None  # added later, by _integrate or by the step
    return (functional.linear(input, weight, bias), *raw)


def update(
    cell: BaseRecurrentCell,
    inputs: Sequence[Tensor],
    states: Sequence[Tensor],
    parameters: EffectiveParameters,
) -> tuple[Tensor, States]:
    """One step: give every argument its value, call ``step``, tell output from states.

    Raises:
        StepError: the step returns something else than it declares, or branches on a tensor.
    """
    values = dict(zip(cell.state_names, states, strict=True))
    for argument in cell.signature.having(roles.DelayedRole):
        values[argument.name] = values[argument.name][..., : cell.output_size]
    values |= _products(cell, inputs[0], values, parameters)
    values |= dict.fromkeys(cell.layout.identities, inputs[-1])
    arguments = (
        values[argument.name]
        if argument.name in values
        else _value(cell, argument.name, argument.role, inputs, parameters)
        for argument in cell.signature.arguments
    )
    new = _returned(cell, arguments, states)
    output, new = (new[0], new[1:]) if cell.signature.has_output else (new[0], new)
    if cell.signature.has_delay:  # the line takes the present state, forgets the oldest
        new = (*new, torch.cat([states[-1][..., cell.output_size :], states[0]], -1))
    return output, new


def _returned(
    cell: BaseRecurrentCell, arguments: Iterable[Any], states: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """What the step returns, held to what it declares."""
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


def _products(
    cell: BaseRecurrentCell,
    projected: Tensor,
    states: Mapping[str, Tensor],
    parameters: EffectiveParameters,
) -> dict[str, Tensor]:
    """The affine arguments of the step: W x + b, U s + d, or both added."""
    multiplicative = cell.integration == "multiplicative"
    blocks = cell.layout.projected
    sizes = [block.stop - block.start for block in blocks]
    parts = torch.split(projected, sizes, -1) if blocks else ()
    x = {block.name: part for block, part in zip(blocks, parts, strict=True)}
    s: dict[str, Tensor] = {}
    for run in cell.layout.runs:
        weight = _rows(parameters, run.weight.name, run)
        plain = not multiplicative and run.weight not in cell.layout.named_biases
        bias = _rows(parameters, run.weight.bias, run) if plain else None
        assert weight is not None
        product = recurrent_product(states[run.of], weight, bias, run.rows)
        s |= zip(run.names, torch.split(product, run.rows, -1), strict=True)
    if multiplicative:
        return {
            name: _integrate(cell, name, x.get(name), s.get(name), parameters) for name in x | s
        }
    return x | s | {name: x[name] + s[name] for name in x if name in s}


def recurrent_product(state: Tensor, weight: Tensor, bias: Tensor | None, units: int) -> Tensor:
    """The product of ``state`` with a stack of dense, block-diagonal or diagonal weights.

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


def _integrate(
    cell: BaseRecurrentCell,
    name: str,
    x: Tensor | None,
    s: Tensor | None,
    parameters: EffectiveParameters,
) -> Tensor:
    """A gate's value under multiplicative integration (wu2016multiplicative)."""
    if x is not None and s is not None:
        alpha, beta_s, beta_x = (
            _argument(cell, weight, name, parameters) for weight in MULTIPLICATIVE
        )
        value = alpha * x * s + beta_s * s + beta_x * x
    else:
        (value,) = (product for product in (x, s) if product is not None)
    for weight in cell.layout.stacks:
        bias = _rows(parameters, weight.bias, cell.layout.bias_block(weight, name))
        value = value if bias is None else value + bias
    return value


def _value(
    cell: BaseRecurrentCell,
    name: str,
    role: roles.Role,
    inputs: Sequence[Tensor],
    parameters: EffectiveParameters,
) -> Any:
    """The value of an argument that is neither a state nor a product."""
    match role:
        case roles.InputRole():
            return inputs[-1]
        case roles.ConstantRole():
            return getattr(cell, name)
        case roles.NormRole(epsilon=epsilon):
            return normalizer(average, getattr(cell, epsilon))
        case roles.NonlinearityRole():
            return resolve_activation(name, getattr(cell, name))
        case roles.ScalarRole():
            return parameters[name]
        case roles.VectorRole(weight=weight):
            return _argument(cell, weight, name, parameters)
        case roles.BiasRole():
            return _bias(cell, name, parameters)
        case roles.MapRole():
            return _map(cell, role, name, parameters)
        case roles.MapsRole(layers=layers, first=first):
            numbers = range(first, getattr(cell, layers))
            return tuple(_map(cell, role, f"{name}{number}", parameters) for number in numbers)
    raise TypeError(f"{type(cell).__name__}.step: no value for {name!r} with role {role}")


def _bias(cell: BaseRecurrentCell, name: str, parameters: EffectiveParameters) -> Tensor | float:
    """The sum of the biases that the step names ``name``; 0 where all are switched off."""
    total: Tensor | float = 0.0
    for weight in cell.layout.named_biases:
        bias = _rows(parameters, weight.bias, cell.layout.bias_block(weight, name))
        total = total if bias is None else total + bias
    return total


def _map(
    cell: BaseRecurrentCell,
    role: roles.MapRole | roles.MapsRole,
    name: str,
    parameters: EffectiveParameters,
) -> Callable[[Tensor], Tensor]:
    owner, columns = type(cell).__name__, getattr(cell, role.columns)
    block = cell.layout.block(role.weight, name)
    product = None  # a width of 0 switches the map off
    if block is not None:
        weight = _rows(parameters, role.weight.name, block)
        assert weight is not None
        bias = _rows(parameters, role.weight.bias, cell.layout.bias_block(role.weight, name))
        product = partial(recurrent_product, weight=weight, bias=bias, units=weight.size(0))

    def apply(value: Tensor) -> Tensor:
        if _sizes_are_numbers():
            check_mapped(owner, name, _width(value), columns)
        return value if product is None else product(value)

    return apply


def _sizes_are_numbers() -> bool:
    """Whether sizes can be compared; :func:`torch.jit.trace` has tensors for them, and warns."""
    return not torch.jit.is_tracing()  # type: ignore[attr-defined,no-untyped-call]


def _width(value: object) -> int | None:
    """The number of units of a tensor; ``None`` for a number."""
    return value.shape[-1] if isinstance(value, Tensor) and value.dim() else None


def _argument(
    cell: BaseRecurrentCell, weight: Weight, name: str, parameters: EffectiveParameters
) -> Tensor:
    rows = _rows(parameters, weight.name, cell.layout.block(weight, name))
    assert rows is not None
    return rows


def _rows(
    parameters: EffectiveParameters, name: str | None, rows: Block | Run | None
) -> Tensor | None:
    parameter = parameters.get(name) if name is not None else None
    return None if parameter is None or rows is None else parameter[rows.start : rows.stop]
