"""Derivatives of any order, and many at once: the backward pass is then the reference loop's."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchrecurrent import RecurrentLayer, backend
from torchrecurrent.testing.held import holding

from .making import assert_same, input_for, make, rebuilt, tensors

T, N = 3, 2


def leaves_of(layer: Any) -> tuple[list[Tensor], Any]:
    """Input, first states and parameters, and the function of them that the layer is."""
    names = [name for name, _ in layer.named_parameters()]
    input = input_for(layer, T, N)
    like = layer(input)[1]
    first = [torch.rand_like(each) + 0.1 for each in tensors(like)]
    values = [input, *first, *layer.parameters()]
    leaves = [value.detach().clone().requires_grad_() for value in values]

    def function(*values: Tensor) -> tuple[Tensor, ...]:
        hx = rebuilt(like, iter(values[1:]))
        parameters = dict(zip(names, values[1 + len(first) :], strict=True))
        called = torch.func.functional_call(layer, parameters, (values[0], hx))
        return tuple(tensors(called))

    return leaves, function


def total(values: Any) -> Tensor:
    """A sum that gives every number another weight."""
    weighted = [
        (each * torch.linspace(1, 2, each.numel(), dtype=each.dtype).view_as(each)).sum()
        for each in values
    ]
    return torch.stack(weighted).sum()


def test_a_gradient_of_gradients_is_that_of_the_loop(layer_class: type[RecurrentLayer]) -> None:
    layer = make(layer_class)
    leaves, function = leaves_of(layer)
    assert ": c: " in layer.explain(leaves[0])
    found = []
    for path in ("auto", "reference"):
        with backend(path):
            results = function(*leaves)
        first = torch.autograd.grad(
            total(results), leaves, create_graph=True, materialize_grads=True
        )
        # a gradient penalty; those that the loss does not depend on have no graph
        penalty = total([each.square() for each in first])
        second = torch.autograd.grad(penalty, leaves, create_graph=True, materialize_grads=True)
        third = torch.autograd.grad(total(second), leaves, materialize_grads=True)
        found.append([each.detach() for each in (*first, *second, *third)])
    largest = max(float(each.abs().max()) for each in found[1])
    # the forward passes round differently, and each derivative is a sum of products of that
    assert_same(found[0], found[1], 1e-12 * max(1.0, largest))


def test_gradients_of_gradients_by_finite_differences(layer_class: type[RecurrentLayer]) -> None:
    leaves, function = leaves_of(make(layer_class))
    assert torch.autograd.gradgradcheck(holding(function, leaves), leaves, fast_mode=True)


def test_many_gradients_at_once(layer_class: type[RecurrentLayer]) -> None:
    leaves, function = leaves_of(make(layer_class))
    output = function(*leaves)[0]
    many = torch.randn(3, *output.shape, dtype=output.dtype)
    together = torch.autograd.grad(
        output, leaves, many, retain_graph=True, is_grads_batched=True, allow_unused=True
    )
    for k in range(3):
        alone = torch.autograd.grad(output, leaves, many[k], retain_graph=True, allow_unused=True)
        for all_of_them, one in zip(together, alone, strict=True):
            assert (all_of_them is None) or (one is not None)
            if all_of_them is not None:
                assert_same(all_of_them[k], one)


def test_a_jacobian_by_vectors_is_that_by_rows(layer_class: type[RecurrentLayer]) -> None:
    layer = make(layer_class)
    input = input_for(layer, T, N)

    def function(value: Tensor) -> Tensor:
        output: Tensor = layer(value)[0]
        return output

    rows = torch.autograd.functional.jacobian(function, input)
    assert_same(torch.autograd.functional.jacobian(function, input, vectorize=True), rows)
