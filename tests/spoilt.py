"""Cells whose step does something else than it declares, and what each path says of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch

from torchrecurrent import BaseRecurrentCell, Recurrent, backend
from torchrecurrent.complex_numbers import Complex
from torchrecurrent.declaration.step_contract import StepError
from torchrecurrent.testing import CellCheckError, check_cell

from .making import make

__all__ = ["changed", "is_rehearsal", "reals", "refusals", "results_of", "written"]

Change = Callable[[tuple[Any, ...]], Any]


def is_rehearsal(arguments: tuple[Any, ...]) -> bool:
    """Whether a step runs where its class is written."""
    return any(type(each).__name__ == "StandIn" for each in reals(arguments))


def changed(
    kind: type[BaseRecurrentCell], change: Change, when_written: bool
) -> type[BaseRecurrentCell]:
    """A cell whose step returns something else.

    Args:
        kind: the cell.
        change: maps a tuple of what its step returns to what is returned instead.
        when_written: whether that shows when the class is written, or with tensors only.
    """

    @functools.wraps(kind.step)
    def step(*arguments: Any) -> Any:
        result = kind.step(*arguments)
        if is_rehearsal(arguments) and not when_written:
            return result
        return change(reals(result if isinstance(result, tuple) else (result,)))

    return type("SpoiltCell", (kind,), {"step": staticmethod(step)})


def reals(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The values of a step, with two for each complex number."""
    pairs = [(each.real, each.imag) if isinstance(each, Complex) else (each,) for each in values]
    return tuple(part for pair in pairs for part in pair)


def refusals(kind: type[BaseRecurrentCell]) -> dict[str, str]:
    """The errors of the reference loop, the choice of a kernel, a single step and ``explain``."""
    cell = make(kind, dtype=torch.float32)
    layer = Recurrent(cell, cell.input_size, cell.hidden_size)
    input = torch.randn(3, 2, cell.input_size)
    calls: dict[str, Callable[[], Any]] = {
        "loop": lambda: layer(input),
        "step": lambda: cell(input[0]),
        "explain": lambda: layer.explain(input),
    }
    found = {}
    for path in ("auto", "reference"):
        for name, call in calls.items():
            with backend(path), pytest.raises(StepError) as caught:
                call()
            found[f"{name}, {path}"] = str(caught.value)
    with pytest.raises(CellCheckError) as failed:
        check_cell(kind, input_size=cell.input_size, hidden_size=cell.hidden_size)
    assert {"shapes", "one_step"} <= {each.check for each in failed.value.failures}
    found["check_cell"] = failed.value.failures[0].finding.removeprefix("it raised StepError: ")
    return found


def results_of(kind: type[BaseRecurrentCell]) -> tuple[str, ...]:
    """The results of a step, in words."""
    output = ["the output"] * kind.signature.has_output
    states = [argument.name for argument in kind.signature.states]
    states = states[: len(states) - kind.signature.has_delay]
    return (*output, *(f"the new state {name!r}" for name in states))


def written(step: Callable[..., Any], **body: Any) -> type[BaseRecurrentCell]:
    """A cell with a step, and with options of their defaults' types."""
    options = {"__annotations__": {name: type(value) for name, value in body.items()}, **body}
    return type("BadCell", (BaseRecurrentCell,), {"step": staticmethod(step), **options})
