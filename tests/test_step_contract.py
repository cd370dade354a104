"""A step that does not return what it declares is refused in a sentence, whoever runs it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, tanh

from torchrecurrent import BaseRecurrentCell, cell_info
from torchrecurrent.declaration.step_contract import StepError
from torchrecurrent.roles import Bias, Gate, Map, Output, Scalar, State, Vector

from .making import make
from .spoilt import changed, is_rehearsal, refusals, results_of, written

Change = Callable[[tuple[Any, ...]], Any]

CHANGES: dict[str, tuple[Change, Callable[[tuple[str, ...]], str]]] = {
    "nothing": (
        lambda values: None,
        lambda names: f" returned None, expected {', '.join(names)}",
    ),
    "one more": (
        lambda values: (*values, values[0]),
        lambda names: (
            f" returned {len(names) + 1} values, expected {len(names)}: {', '.join(names)}"
        ),
    ),
    "one less": (
        lambda values: values[:-1],
        lambda names: (
            f" returned {len(names) - 1} value{'' if len(names) == 2 else 's'}, "
            f"expected {len(names)}: {', '.join(names)}"
        ),
    ),
    "a number": (
        lambda values: (1.0, *values[1:]),
        lambda names: f": {names[0]} should be a Tensor, got: float",
    ),
    "a list": (
        lambda values: ([values[0]], *values[1:]),
        lambda names: f": {names[0]} should be a Tensor, got: list",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_return_that_is_not_as_declared(cell_class: type[BaseRecurrentCell], change: str) -> None:
    make_other, said = CHANGES[change]
    message = f"SpoiltCell.step{said(results_of(cell_class))}"
    with pytest.raises(StepError) as caught:
        changed(cell_class, make_other, when_written=True)
    assert str(caught.value) == message
    kind = changed(cell_class, make_other, when_written=False)
    assert set(refusals(kind).values()) == {message}
    assert cell_info(kind).not_fused_because == message


def test_a_width_that_is_not_as_declared(cell_class: type[BaseRecurrentCell]) -> None:
    """Also where the operation that made it so has no kernel."""

    def wider(values: tuple[Any, ...]) -> tuple[Any, ...]:
        return (*values[:-1], torch.cat([values[-1], values[-1]], -1))

    kind = changed(cell_class, wider, when_written=False)
    cell = make(cell_class)
    names = results_of(cell_class)
    widths = [cell.output_size] * kind.signature.has_output + list(cell.state_widths)
    width = widths[len(names) - 1]
    message = f"SpoiltCell.step: {names[-1]} should have the width {width}, got {2 * width}"
    assert set(refusals(kind).values()) == {message}


def test_a_shape_that_is_not_as_declared(cell_class: type[BaseRecurrentCell]) -> None:
    """One row for all sequences, as a learned vector has it."""
    kind = changed(cell_class, lambda values: (values[0][0], *values[1:]), when_written=False)
    cell = make(kind, dtype=torch.float32)
    name, width = results_of(cell_class)[0], cell.output_size
    with pytest.raises(StepError) as caught:
        cell(torch.randn(2, cell.input_size))
    found = str(caught.value)
    assert found == f"SpoiltCell.step: {name} should have the shape {(2, width)}, got {(width,)}"


def scalar_state(h: State, n: Gate, v: Scalar) -> Tensor:
    return 2 * v


def vector_state(h: State, n: Gate, v: Vector) -> Tensor:
    return tanh(v)


def bias_state(h: State, n: Gate, b: Bias) -> Tensor:
    return tanh(b)


def map_of_vector(h: State, n: Gate, v: Vector, U: Map) -> Tensor:
    return tanh(U(v))


def outside_state(h: State, n: Gate) -> Tensor:
    return torch.zeros(4)


def constant_output(h: State, n: Gate, v: Vector) -> tuple[Output, Tensor]:
    return v, n


@pytest.mark.parametrize(
    "step",
    [scalar_state, vector_state, bias_state, map_of_vector, constant_output],
    ids=lambda step: step.__name__,
)
def test_what_depends_on_no_input(step: Callable[..., Any]) -> None:
    name = "the output" if step is constant_output else "the new state 'h'"
    with pytest.raises(StepError) as caught:
        written(step, v_init=1.0, vector_kernel_init="ones")
    assert str(caught.value).startswith(
        f"BadCell.step: {name} depends on neither the input nor a state; expected a value for"
    )

    @functools.wraps(step)
    def hidden(*arguments: Any) -> Any:
        if is_rehearsal(arguments):
            return arguments[:1] * (1 + (name == "the output"))
        return step(*arguments)

    kind = written(hidden, v_init=1.0, vector_kernel_init="ones")
    assert all(name in each for each in refusals(kind).values())


def test_a_tensor_from_outside_depends_on_no_input() -> None:
    with pytest.raises(StepError, match="state 'h' depends on neither the input nor a state"):
        written(outside_state)


def test_a_step_that_a_stand_in_cannot_take_part_in_is_left_to_tensors() -> None:
    """A step that fails on stand-ins need not fail on tensors."""

    def step(h: State, n: Gate) -> Tensor:
        first, second = torch.chunk(torch.cat([h, n], -1), 2, -1)
        if h.shape[0] > 100 or float(first.detach().sum()) > 1e6:
            return first
        rows = [tanh(row) for row in second]
        return torch.stack(rows)

    kind = written(step)
    assert kind(3, 4)(torch.randn(2, 3)).shape == (2, 4)
