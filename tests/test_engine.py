"""The fused kernel computes what the reference loop does: outputs, states, every gradient."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from torchrecurrent import LSTM, MGU, BaseRecurrentCell, RecurrentLayer, backend
from torchrecurrent.engine import Backend

from .making import (
    LAYER_OPTIONS,
    assert_same,
    compile_quickly,
    fitting,
    input_for,
    make,
    randomize,
    states_for,
    tensors,
)

#: Cells whose step is beyond the kernels, and why; each is on the list by name.
WITHOUT_KERNEL: dict[str, str] = {}
SHAPES = [(1, 1), (2, 3), (37, 5)]
RAGGED = [4, 1, 7, 2, 7]


def build(layer_class: type[RecurrentLayer], width: int, **options: Any) -> Any:
    """A layer of an odd width, as wide as its input if it must be.

    Kernels are scaled so that no cell is chaotic: there, any two roundings drift apart.
    """
    options.setdefault("frozen", ())  # there are gradients of all parameters
    try:
        layer = layer_class(3, width, **options)
    except ValueError:
        layer = layer_class(width, width, **options)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(0, 0.5 / width**0.5)
    return layer


def results(layer: Any, input: Tensor, path: Backend, **call: Any) -> list[Tensor]:
    """Output, states, and the gradients of input, first states and parameters, for one seed."""
    leaf = input.clone().requires_grad_()
    hx = call.pop("hx", None)
    leaves = [] if hx is None else [state.clone().requires_grad_() for state in tensors(hx)]
    given = None if hx is None else leaves[0] if isinstance(hx, Tensor) else tuple(leaves)
    layer.zero_grad()
    with backend(path), torch.random.fork_rng():
        torch.manual_seed(5)
        found = list(tensors(layer(leaf, given, **call)))
    generator = torch.Generator().manual_seed(5)
    weighted = [
        (each * torch.randn(each.shape, generator=generator).to(each)).sum() for each in found
    ]
    torch.stack(weighted).sum().backward()
    gradients = [leaf.grad, *(state.grad for state in leaves)]
    gradients += [parameter.grad for parameter in layer.parameters()]
    kept = [gradient.clone() for gradient in gradients if gradient is not None]
    return [each.detach() for each in found] + kept


def has_kernel(layer: Any, input: Tensor) -> bool:
    sentence = layer.explain(input)
    reason = WITHOUT_KERNEL.get(type(layer).__name__)
    assert (reason in sentence) if reason else (": c: " in sentence), sentence
    return reason is None


@pytest.mark.parametrize("width", [1, 17, 63])
@pytest.mark.parametrize(("steps", "batch"), SHAPES)
def test_equals_the_reference(
    layer_class: type[RecurrentLayer], steps: int, batch: int, width: int
) -> None:
    layer = build(layer_class, width, dtype=torch.float64)
    input = input_for(layer, steps, batch)
    with torch.no_grad():
        hx = layer(input)[1]
    if has_kernel(layer, input):
        expected = results(layer, input, "reference", hx=hx)
        largest = max(float(each.abs().max()) for each in expected)
        # sums of up to 37 * 5 terms, in another order
        assert_same(results(layer, input, "c", hx=hx), expected, 1e-12 * max(1.0, largest))


@pytest.mark.parametrize("options", LAYER_OPTIONS, ids=str)
def test_options_and_lengths(
    layer_class: type[RecurrentLayer], options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    if layer_class.__name__ in WITHOUT_KERNEL:
        return
    if "num_layers" not in options:  # whose kernels are those of other tests
        compile_quickly(monkeypatch)
    layer = build(layer_class, 6, dtype=torch.float64, **fitting(layer_class, options))
    input = input_for(layer, 5, 7) if "batch_first" in options else input_for(layer, 7, 5)
    expected = results(layer, input, "reference", lengths=RAGGED)
    largest = max(float(each.abs().max()) for each in expected)
    assert_same(results(layer, input, "c", lengths=RAGGED), expected, 1e-12 * max(1.0, largest))


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf], ids=str)
def test_nan_and_infinity_come_out_where_they_do(
    layer_class: type[RecurrentLayer], value: float
) -> None:
    if layer_class.__name__ in WITHOUT_KERNEL:
        return
    layer = build(layer_class, 5)
    input = input_for(layer, 6, 3, dtype=torch.float32)
    input[2, 1, 0] = value
    with torch.no_grad():
        outputs = []
        paths: tuple[Backend, ...] = ("c", "reference")
        for path in paths:
            with backend(path):
                outputs.append(layer(input)[0])
    for test in (torch.isnan, torch.isposinf, torch.isneginf):
        assert torch.equal(test(outputs[0]), test(outputs[1]))


def test_without_gradients_the_same_comes_out(layer_class: type[RecurrentLayer]) -> None:
    layer = make(layer_class)
    input = input_for(layer, 7, 5)
    with_gradients = layer(input, lengths=RAGGED)
    with torch.no_grad():
        assert_same(layer(input, lengths=RAGGED), with_gradients, 0)


@pytest.mark.parametrize("batch", [1, 3, 6])
def test_a_single_step_of_a_cell(cell_class: type[BaseRecurrentCell], batch: int) -> None:
    """Up to four sequences use the parameters as they are, more than that packed."""
    cell = make(cell_class)
    input, hx = input_for(cell, batch), states_for(cell, batch)
    with torch.no_grad():
        with backend("reference"):
            expected = cell(input, hx)
        with backend("c"):
            assert_same(cell(input, hx), expected)
            assert_same(cell(input.t().contiguous().t(), hx), expected)
    with backend("c"):  # with gradients the cell steps by itself
        assert_same(cell(input, hx), expected)


def test_a_second_backward_through_the_same_graph() -> None:
    layer = randomize(MGU(3, 5, dtype=torch.float64))
    output, _ = layer(input_for(layer, 6, 2))
    gradients = []
    for _ in range(2):
        layer.zero_grad()
        output.square().sum().backward(retain_graph=True)
        gradients.append([p.grad.clone() for p in layer.parameters() if p.grad is not None])
    assert_same(gradients[0], gradients[1], 0)


def test_threads_change_nothing() -> None:
    layer = randomize(LSTM(3, 64))
    input = torch.randn(50, 32, 3)
    threads = torch.get_num_threads()
    found = []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            found.append(results(layer, input, "c")[:3])  # sums over the batch differ in rounding
    finally:
        torch.set_num_threads(threads)
    assert_same(found[0], found[1], 0)
    assert_same(found[0], found[2], 0)
