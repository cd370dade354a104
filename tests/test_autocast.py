"""Under autocast the results have the dtype of the input, on every path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import torchrecurrent
from torchrecurrent import BaseRecurrentCell, RecurrentLayer, backend
from torchrecurrent.engine import Backend

from .making import assert_same, input_for, make, states_for, tensors

T, N = 4, 2
PATHS: tuple[Backend, ...] = ("c", "reference")
DTYPES = (torch.float32, torch.bfloat16)


@pytest.mark.parametrize("narrow", [torch.bfloat16, torch.float16], ids=str)
def test_results_have_the_dtype_of_the_input(
    layer_class: type[RecurrentLayer], narrow: torch.dtype
) -> None:
    layer = make(layer_class, 2, dtype=torch.float32)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(0.5)  # rounding errors of the narrow products stay small
    input = input_for(layer, T, N, dtype=torch.float32)
    exact = [each.detach() for each in tensors(layer(input))]
    for path in PATHS:
        for given in (torch.float32, narrow):
            leaf = input.to(given, copy=True).requires_grad_()
            with torch.autocast("cpu", narrow), backend(path):
                found = layer(leaf)
                again = layer(leaf, found[1])  # and takes its own states back
            assert {each.dtype for each in tensors((found, again))} == {given}
            found[0].float().sum().backward()
            assert leaf.grad is not None
            assert leaf.grad.dtype == given
            # Two layers of four steps with up to a few products each, rounded to eight bits.
            assert_same([each.float() for each in tensors(found)], exact, 0.15)


def test_a_step_has_the_same_rule(cell_class: type[BaseRecurrentCell]) -> None:
    cell = make(cell_class, dtype=torch.float32)
    input = input_for(cell, N, dtype=torch.float32)
    hx = states_for(cell, N)
    states = [state.float() for state in tensors(hx)]
    for grad in (True, False):
        for given in DTYPES:
            for kept in DTYPES:
                first: Any = [state.to(kept) for state in states]
                with torch.autocast("cpu", torch.bfloat16), torch.set_grad_enabled(grad):
                    found = cell(input.to(given), first[0] if len(first) == 1 else tuple(first))
                assert {each.dtype for each in tensors(found)} == {given}


CHANGES: dict[str, Callable[[Tensor], Any]] = {
    "relu_": torch.relu_,
    "mul_": lambda output: output.mul_(2),
    "masked_fill_": lambda output: output.masked_fill_(output > 0.1, 0.0),
    "view": lambda output: output.view(-1).mul_(2),
    "slice": lambda output: output[1:].zero_(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_an_output_may_be_changed_in_place(layer_class: type[RecurrentLayer], change: str) -> None:
    layer = make(layer_class)
    input = input_for(layer, T, N)
    found = []
    for path in PATHS:
        layer.zero_grad()
        leaf = input.clone().requires_grad_()
        with backend(path):
            output, last = layer(leaf)
        CHANGES[change](output)
        torch.stack([each.sin().sum() for each in tensors((output, last))]).sum().backward()
        assert leaf.grad is not None
        found.append([output.detach(), leaf.grad, *(p.grad for p in layer.parameters())])
    for ours, loop in zip(*found, strict=True):
        if loop is None:  # what the results don't depend on has zeros from the kernel
            assert ours is None or not ours.any()
        else:
            assert_same(ours, loop)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("options", [{}, {"bidirectional": True}, {"batch_first": True}], ids=str)
def test_what_torch_allows_in_place_is_allowed(kind: str, options: dict[str, bool]) -> None:
    for change in ("relu_", "mul_", "masked_fill_"):
        try:
            CHANGES[change](
                getattr(nn, kind)(3, 4, **options)(torch.randn(T, N, 3))[0]
            ).sum().backward()
        except RuntimeError:
            continue
        ours: Any = getattr(torchrecurrent, kind)(3, 4, **options)
        output: Tensor = CHANGES[change](ours(torch.randn(T, N, 3))[0])
        output.sum().backward()


def test_a_changed_parameter_is_still_an_error() -> None:
    layer: Any = torchrecurrent.LSTM(3, 4)
    output = layer(torch.randn(T, N, 3))[0]
    with torch.no_grad():
        layer.cells[0].weight_hh.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()
