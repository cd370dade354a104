"""The arguments of a kernel may lie anywhere in memory, and it counts rows in 64 bits."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from torchrecurrent import backend
from torchrecurrent.engine import Backend

from .making import assert_same, input_for, tensors
from .test_accuracy import LAYERS
from .test_engine import build

STEPS, BATCH, WIDTH = 7, 5, 6
PATHS: tuple[Backend, ...] = ("c", "reference")


@pytest.fixture(params=LAYERS, ids=lambda layer: layer.__name__)
def layer(request: pytest.FixtureRequest) -> Any:
    """A layer of each cell that has a kernel."""
    return build(request.param, WIDTH, dtype=torch.float64)


def leaf(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def weighted(found: Sequence[Tensor]) -> Tensor:
    """A sum that gives every number another weight."""
    generator = torch.Generator().manual_seed(5)
    return torch.stack(
        [(each * torch.randn(each.shape, generator=generator)).sum() for each in found]
    ).sum()


def check(
    leaves: Sequence[Tensor],
    call: Callable[[], Any],
    loss: Callable[[Sequence[Tensor]], Tensor] = weighted,
) -> None:
    """Both paths agree on what ``call`` returns, and on the gradients of ``leaves``."""
    found: list[list[Tensor]] = []
    for path in PATHS:
        with backend(path):
            result = list(tensors(call()))
        # what the loss does not depend on has no gradient in the loop, and zeros in the kernel
        gradients = torch.autograd.grad(loss(result), list(leaves), materialize_grads=True)
        found.append([*(each.detach() for each in result), *gradients])
    largest = max(float(each.abs().max()) for each in found[1])
    # Sums of up to 7 * 5 terms, in another order.
    assert_same(found[0], found[1], 1e-12 * max(1.0, largest))


#: How many times larger in each dimension a tensor is, and a view of it that is the input.
VIEWS: dict[str, tuple[int, Callable[[Tensor], Tensor]]] = {
    "units outermost": (1, lambda x: x.permute(2, 1, 0).contiguous().permute(2, 1, 0)),
    "strided": (2, lambda x: x[1::2, ::2, ::2]),
    "inside": (3, lambda x: x[STEPS : 2 * STEPS, BATCH : 2 * BATCH, : x.size(2) // 3]),
    "the same at all steps": (1, lambda x: x[:1].expand_as(x)),
    "the same in all sequences": (1, lambda x: x[:, :1].expand_as(x)),
    "one number": (1, lambda x: x[:1, :1, :1].expand_as(x)),
}


@pytest.mark.parametrize("view", VIEWS)
def test_inputs(layer: Any, view: str) -> None:
    times, function = VIEWS[view]
    base = leaf(times * STEPS, times * BATCH, times * layer.input_size)
    input = function(base)
    assert input.shape == (STEPS, BATCH, layer.input_size)
    assert not input.is_contiguous()
    check([base, *layer.parameters()], lambda: layer(input))


def test_batch_first_and_packed(layer: Any) -> None:
    layer.batch_first = True
    base = leaf(BATCH, STEPS, layer.input_size)
    check([base, *layer.parameters()], lambda: layer(base))
    packed = pack_padded_sequence(base.detach(), [4, 1, 7, 2, 7], True, enforce_sorted=False)
    base = leaf(layer.input_size, len(packed.data))
    check([base, *layer.parameters()], lambda: layer(PackedSequence(base.t(), *packed[1:])))


@pytest.mark.parametrize("kind", ["units outermost", "the same in all sequences"])
def test_states(layer: Any, kind: str) -> None:
    input = input_for(layer, STEPS, BATCH)
    with torch.no_grad():
        first = list(tensors(layer(input)[1]))  # what this cell's states may be
    if kind == "units outermost":
        bases = [state.mT.contiguous().requires_grad_() for state in first]
        states = [base.mT for base in bases]
    else:
        bases = [state[:, :1].clone().requires_grad_() for state in first]
        states = [base.expand_as(state) for base, state in zip(bases, first, strict=True)]
    # one unit wide, a state is contiguous however it lies
    assert not any(state.is_contiguous() for state in states if state.size(-1) > 1)
    hx = states[0] if len(states) == 1 else tuple(states)
    check([*bases, *layer.parameters()], lambda: layer(input, hx))


def view_of(value: Tensor, kind: str) -> tuple[Tensor, Tensor]:
    """A leaf of the graph, and a view of it shaped as ``value``."""
    if kind == "transposed":
        base = value.t().contiguous().requires_grad_()
        return base, base.t()
    if kind == "strided":
        base = torch.stack([value, -value], -1).requires_grad_()
        return base, base[..., 0]
    if kind == "inside":
        base = torch.cat([-value, value, -value], -1).requires_grad_()
        return base, base.narrow(-1, value.size(-1), value.size(-1))
    base = value[:1].clone().requires_grad_()
    return base, base.expand_as(value)


KINDS = ["transposed", "strided", "inside", "all rows the same"]


@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_are_views(layer: Any, kind: str) -> None:
    """A replacement of a parameter, as in ``functional_call``; the gradient goes to its base."""
    input = input_for(layer, STEPS, BATCH)
    views = {name: view_of(value.detach(), kind) for name, value in layer.named_parameters()}
    weights = {name: weight for name, (_, weight) in views.items()}
    matrices = [
        weight for weight in weights.values() if weight.dim() == 2 and 1 not in weight.shape
    ]
    assert not any(weight.is_contiguous() for weight in matrices)
    bases = [base for base, _ in views.values()]
    check(bases, lambda: functional_call(layer, weights, (input,)))


@pytest.mark.parametrize("kind", KINDS)
def test_parameters(layer: Any, kind: str) -> None:
    input = input_for(layer, STEPS, BATCH)
    for parameter in layer.parameters():
        parameter.data = view_of(parameter.detach(), kind)[1].detach()
    check(list(layer.parameters()), lambda: layer(input))


LOSSES: dict[str, Callable[[Sequence[Tensor]], Tensor]] = {
    "expanded": lambda found: torch.stack([each.sum() for each in found]).sum(),
    "units outermost": lambda found: weighted([each.movedim(-1, 0) for each in found]),
    "transposed": lambda found: weighted([each.transpose(0, 1) for each in found]),
    "of the output only": lambda found: weighted(found[:1]),
    "of the states only": lambda found: weighted(found[1:]),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_of_results(layer: Any, loss: str) -> None:
    base = leaf(STEPS, BATCH, layer.input_size)
    check([base, *layer.parameters()], lambda: layer(base), LOSSES[loss])


NARROW = re.compile(r"\b(?:int|unsigned|long|short|char|size_t|u?int(?:8|16|32)_t)\b[ *]*(\w*)")
#: Loops over a tile or a vector, whose size is a constant; flags; whether a comparison is true.
SMALL = re.compile(
    r"for \(int (?:\b(?:i|q|lane|half|m|n|LANES|DOTS)\b|\d|[^\w)])*\)|const int [mn],|\(int\)sizeof"
    r"|int (?:add|packed),|int sched_yield\(void\)|"
    r"int \(\*number\)\(void\), \(\*threads\)|const int x\d+ ="
)


def narrow_numbers(source: str) -> list[str]:
    """The variables of emitted code that may count rows or units in fewer than 64 bits."""
    code = re.sub(r"/\*.*?\*/", "", source, flags=re.DOTALL)
    # Before this line are the functions of one number.
    _, include, loops = code.rpartition("#include <stdint.h>")
    assert include
    assert "void forward(" in loops
    return NARROW.findall(SMALL.sub("", loops))


def test_rows_are_counted_in_64_bits(layer: Any) -> None:
    """A sequence of more than 2 ** 31 numbers would need 8 GB, so the code is read instead."""
    source = layer.kernel_source(torch.float32)
    assert narrow_numbers(source) == []
    loop, start = "for (int64_t n = 0; n < rows;", "const int64_t r0 ="
    assert set(narrow_numbers(source.replace(loop, "for (int n = 0; n < rows;"))) == {"n"}
    assert set(narrow_numbers(source.replace(start, "const int32_t r0 ="))) == {"r0"}
