"""Declarations of a cell agree with measurements, and its printed equations with its results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from torchrecurrent import (
    BaseRecurrentCell,
    DeltaNetCell,
    GatedDeltaNetCell,
    Recurrent,
    RWKV7Cell,
    TGRUCell,
    roles,
)
from torchrecurrent.across import ACROSS, Across
from torchrecurrent.activations import resolve_activation
from torchrecurrent.equations import latex
from torchrecurrent.roles.weight import Weight
from torchrecurrent.term import symbol

from .latex import Evaluator
from .making import HIDDEN, input_for, make, states_for, tensors


def jacobian(cell: Any, input: Tensor, states: list[Tensor]) -> Tensor:
    """The Jacobian of the first new state with respect to the first state."""

    def first(state: Tensor) -> Tensor:
        rest = (state, *states[1:])
        result = cell(input, state if len(rest) == 1 else rest)
        return next(tensors(result[1] if cell.signature.has_output else result))

    value = torch.autograd.functional.jacobian(first, states[0])
    assert isinstance(value, Tensor)
    return value


def test_a_diagonal_recurrence_has_a_diagonal_jacobian(
    cell_class: type[BaseRecurrentCell],
) -> None:
    for recurrence in ("diagonal", "dense"):
        cell = cell_class(HIDDEN, HIDDEN, recurrence=recurrence, dtype=torch.float64)
        for parameter in cell.parameters():
            torch.nn.init.normal_(parameter)
        # A relu is flat for half of all inputs, so look at several.
        value = sum(
            jacobian(cell, input_for(cell), list(tensors(states_for(cell)))).abs()
            for _ in range(20)
        )
        assert isinstance(value, Tensor)
        reads_first = any(run.of == cell.state_names[0] for run in cell.layout.runs) or any(
            getattr(argument.role, "weight", None) is roles.RECURRENT
            for argument in cell.signature.having(roles.MapRole)
        )
        mixes = (recurrence == "dense" and reads_first) or normalises(cell_class)
        assert bool((value - value.diag().diag()).any()) is mixes


def normalises(cell_class: type[BaseRecurrentCell]) -> bool:
    """Whether an average or its like, or a signal, joins all units, whatever the kernels are.

    So does what a matrix has under a key already, and synapses, whose sum is as wide as the state.
    """
    if cell_class in (DeltaNetCell, GatedDeltaNetCell, RWKV7Cell):
        return True
    sums = ("average", "total", "largest", "cumulative")
    maps = [each.role for each in cell_class.signature.having(roles.MapRole)]
    signals = any(getattr(role, "rows", "") == "signals" for role in maps)
    return (
        signals
        or cell_class.integration == "layer_norm"
        or any(
            isinstance(each.role, roles.NormRole | roles.SoftmaxRole)
            or (
                isinstance(each.role, roles.AcrossRole)
                and (
                    each.role.operation in sums
                    or (each.role.operation, each.role.rows) == ("folded", "hidden_size")
                )
            )
            for each in cell_class.signature.arguments
        )
    )


def test_num_heads_makes_a_block_diagonal_jacobian(cell_class: type[BaseRecurrentCell]) -> None:
    cell = cell_class(HIDDEN, HIDDEN, recurrence="dense", num_heads=2, dtype=torch.float64)
    for parameter in cell.parameters():
        torch.nn.init.normal_(parameter)
    value = jacobian(cell, input_for(cell), list(tensors(states_for(cell))))
    half = HIDDEN // 2
    if normalises(cell_class):
        assert value[:half, half:].any()
        return
    assert not value[:half, half:].any()
    assert not value[half:, :half].any()


def test_a_strongly_typed_cell_is_linear_in_its_state() -> None:
    cell = make(TGRUCell)
    input = input_for(cell)
    h, x_prev = states_for(cell)
    one = jacobian(cell, input, [h, x_prev])
    other = jacobian(cell, input, [10 * torch.randn_like(h), x_prev])
    torch.testing.assert_close(one, other, rtol=0, atol=0)


def together(*values: Tensor, epsilon: float) -> Tensor | tuple[Tensor, ...]:
    """Values normalised as one vector; a single one by itself."""
    joined = torch.cat(values)
    normal = torch.nn.functional.layer_norm(joined, joined.shape, eps=epsilon)
    return normal if len(values) == 1 else normal.chunk(len(values))


def across(operation: Across, width: int | None, value: Tensor) -> Tensor:
    """An operation across units; its result is as wide as the value if nothing says otherwise."""
    return operation.value(value, width or value.size(-1))


def linear(weight: Tensor) -> Any:
    """The meaning of a weight's symbol: a matrix is applied to the factor after it."""
    return weight if weight.dim() == 1 else lambda value: weight @ value.to(weight.dtype)


def part(role: roles.Role) -> roles.Role:
    return role.part if isinstance(role, roles.ComplexRole) else role


def block_of(cell: Any, parameter: str, name: str) -> Tensor:
    """The rows of an argument as the step has it; a complex one has two blocks."""
    complex_names = [f"{name}_re", f"{name}_im"]
    if complex_names[0] not in [argument.name for argument in cell.signature.arguments]:
        return cast("Tensor", cell.block(parameter, name))
    return torch.complex(*(cell.block(parameter, each) for each in complex_names))


def whole(cell: Any, states: Sequence[Tensor]) -> dict[str, Tensor]:
    """The states as the step has them, with their names; a delay line has none of its own."""
    given = iter(states)
    return {
        argument.name: torch.complex(next(given), next(given))
        if isinstance(argument.role, roles.ComplexRole)
        else next(given)
        for argument in cell.signature.written
        if isinstance(part(argument.role), roles.StateRole)
    }


def test_the_printed_equations_are_the_step(cell_class: type[BaseRecurrentCell]) -> None:
    cell = make(cell_class)
    input, states = input_for(cell), list(tensors(states_for(cell)))
    values: dict[str, Any] = {symbol("x", "t"): input}
    functions: dict[str, Callable[..., Any]] = {
        r"\mathrm{LN}": partial(together, epsilon=cell.layer_norm_eps),
        r"\mathrm{softmax}": partial(torch.softmax, dim=-1),
    }
    for name, state in whole(cell, states).items():
        values[symbol(name, "t-1")] = state
    for argument in cell.signature.written:
        name = argument.name
        match part(argument.role):
            case roles.ProductRole(input=has_input, recurrent=recurrent):
                index = f"_{{{symbol(name)}}}"
                named = any(cell.signature.having(roles.BiasRole))
                if has_input:
                    functions[r"\mathrm{leading}"] = lambda x: x[..., : cell.weight_ih.size(-1)]
                    values[f"W{index}"] = linear(block_of(cell, "weight_ih", name))
                    if not named:
                        values[f"b{index}"] = block_of(cell, "bias_ih", name)
                if recurrent:
                    block = cell.layout.block(recurrent, name)
                    # what multiplies the state need not be the parameter itself
                    weight = cell.effective_parameters()[recurrent.name][block.start : block.stop]
                    values[("u" if weight.dim() == 1 else "U") + index] = linear(weight)
                    if not named and recurrent.bias in cell.state_dict():
                        values[f"d{index}"] = cell.block(recurrent.bias, name)
            case roles.BiasRole():
                stacks = [each for each in ("bias_ih", "bias_hh") if each in cell.state_dict()]
                values[symbol(name)] = sum(cell.block(stack, name) for stack in stacks)
            case roles.MapsRole(weight=stack):
                for block in cell.layout.blocks(stack):
                    if block.name.startswith(name):
                        weight = cell.block(stack.name, block.name)
                        values[symbol(block.name)] = linear(weight)
                        if stack.bias in cell.state_dict():
                            bias = cell.block(stack.bias, block.name)
                            values[f"d_{{{symbol(block.name)}}}"] = bias
            case roles.MapRole(weight=stack) as role:
                for each in role.names(name):
                    try:
                        value = block_of(cell, stack.name, each)
                        if stack == roles.RECURRENT:  # it need not be the parameter itself
                            block = cell.layout.block(stack, each)
                            kernel = cell.effective_parameters()[stack.name]
                            value = kernel[block.start : block.stop]
                        values[symbol(each)] = linear(value)
                    except KeyError:  # a map of width 0 is the identity
                        values[symbol(each)] = lambda value: value
                    if stack.bias in cell.state_dict():
                        values[f"d_{{{symbol(each)}}}"] = cell.block(stack.bias, each)
            case roles.VectorRole(weight=stack):
                values[symbol(name)] = cell.block(stack.name, name)
            case roles.ConstantRole() | roles.ScalarRole():
                values[symbol(name)] = getattr(cell, name)
            case roles.NonlinearityRole(symbol=printed):
                functions[printed] = resolve_activation(name, getattr(cell, name))
            case roles.AcrossRole(operation=operation, rows=rows, symbol=printed):
                width = None if rows is None else getattr(cell, rows)
                functions[printed] = partial(across, ACROSS[operation], width)
            case roles.DelayedRole(steps=steps):
                delayed = symbol(cell.state_names[0], f"t-1-{symbol(steps)}")
                values[delayed] = states[-1][: cell.hidden_size]
    for parameter, letter in (("ln_gamma_ih", "gamma"), ("ln_gamma_hh", "alpha")):
        for block in cell.layout.blocks(Weight(parameter)):
            values[symbol(f"{letter}_{block.name}")] = cell.block(parameter, block.name)
    evaluator = Evaluator(values, functions)
    for line in latex(cell_class):
        evaluator.run(line)
    result = cell(input, states[0] if len(states) == 1 else tuple(states))
    results = list(tensors(result))
    expected: dict[str, Tensor] = {}
    if cell.signature.has_output:
        expected["o" if "y" in whole(cell, states) else "y"] = results.pop(0)
    for name, value in (expected | whole(cell, results)).items():
        torch.testing.assert_close(evaluator.values[symbol(name, "t")], value, rtol=0, atol=1e-13)


def test_a_step_without_a_rule_is_named() -> None:
    class OddCell(BaseRecurrentCell):
        @staticmethod
        def step(h: roles.State, n: roles.Gate) -> Tensor:
            return torch.digamma(n)

    with pytest.raises(TypeError, match=r"OddCell.step: no rule prints 'torch.digamma\(n\)'"):
        latex(OddCell)
    assert Recurrent(OddCell, 2, 3)(torch.zeros(1, 2))[0].shape == (1, 3)
