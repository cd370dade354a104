"""Compares a cell with its oracle; apart from the tests, so that a mutant can be put to it."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import torch

from torchrecurrent import BaseRecurrentCell

from .making import input_for, make, randomize, states_for, tensors
from .oracles import oracle


def largest_difference(cell_class: type[BaseRecurrentCell], **options: Any) -> float:
    """Over random parameters, inputs and states, and over four steps from the first state."""
    worst = 0.0
    for seed in range(3):
        torch.manual_seed(seed)
        cell = make(cell_class, **options)
        worst = max(worst, _steps(cell, states_for(cell), 1))
        worst = max(worst, _steps(randomize(cell), cell.init_hidden(), 4))
    return worst


def _steps(cell: Any, hx: Any, count: int) -> float:
    function = oracle(type(cell).__name__)
    constants = {
        name: getattr(cell, name)
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    parameters = {name: value.numpy() for name, value in cell.state_dict().items()}
    states = tuple(state.numpy() for state in tensors(hx))
    worst = 0.0
    for _ in range(count):
        input = input_for(cell)
        with torch.no_grad():
            result = cell(input, hx)
        output, hx = result if cell.signature.has_output else (None, result)
        expected, states = function(parameters, input.numpy(), *states, **constants)
        pairs = list(zip(tensors(hx), states, strict=True))
        if output is not None:
            pairs.append((output, expected))
        else:
            assert np.array_equal(expected, states[0])
        for ours, theirs in pairs:
            worst = max(worst, float(np.abs(ours.numpy() - theirs).max()))
    return worst
