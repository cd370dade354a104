"""Cells, layers and inputs of small odd sizes, and comparisons of nested results."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from typing import Any, TypeVar

import pytest
import torch
from torch import Tensor, nn

from torchrecurrent import BaseRecurrentCell, RecurrentLayer, backend
from torchrecurrent.engine.cpu import compiler, target
from torchrecurrent.roles import ProductRole

INPUT, HIDDEN = 3, 4
M = TypeVar("M", bound=nn.Module)
#: What a kernel of every layer is tried with.
LAYER_OPTIONS: list[dict[str, Any]] = [
    {"recurrence": "diagonal"},
    {"recurrence": "dense"},
    {"bias": False},
    {"bias": False, "recurrent_bias": True, "recurrence": "diagonal"},
    {"num_layers": 2, "batch_first": True},
    {"integration": "multiplicative"},
    {"integration": "multiplicative", "recurrence": "diagonal"},
    {"integration": "layer_norm"},
    {"num_heads": 3},
    {"recurrent_dropout": 0.4, "zoneout": 0.3},
]


def make(kind: type[BaseRecurrentCell] | type[RecurrentLayer], *args: Any, **options: Any) -> Any:
    """An instance in float64 with random parameters; as wide as its input if it must be.

    All of them are trained, unless the caller says otherwise.
    Initialisers leave much at zero, where mistakes hide, so every parameter is drawn anew.
    """
    options.setdefault("dtype", torch.float64)
    options.setdefault("frozen", ())
    try:
        module = kind(INPUT, HIDDEN, *args, **options)
    except ValueError as error:
        if "input_size == hidden_size is needed" not in str(error):
            raise
        module = kind(HIDDEN, HIDDEN, *args, **options)
    return randomize(module)


def has_gate(cell_class: type[BaseRecurrentCell]) -> bool:
    """Whether an argument of its step has a product with the input and one with the state."""
    arguments = cell_class.signature.having(ProductRole)
    return any(len(each.role.weights) == 2 for each in arguments)


def has_product(cell_class: type[BaseRecurrentCell]) -> bool:
    """Whether an argument of its step has a product with the input or with the state."""
    return any(cell_class.signature.having(ProductRole))


def has_recurrent_weight(cell_class: type[BaseRecurrentCell]) -> bool:
    """Whether a cell has something that recurrent dropout can drop."""
    cell = make(cell_class)
    return "weight_hh" in cell.state_dict() or bool(cell.layout.runs)


def fitting(kind: type[BaseRecurrentCell] | type[RecurrentLayer], options: Any) -> dict[str, Any]:
    """The options, without an integration or dropout where it has nothing to work on."""
    cell_class = kind.cell if issubclass(kind, RecurrentLayer) else kind
    kept = dict(options)
    works = {"multiplicative": has_gate, "layer_norm": has_product}
    if not works.get(kept.get("integration", ""), has_product)(cell_class):
        kept.pop("integration", None)
    if not has_recurrent_weight(cell_class):
        kept.pop("recurrent_dropout", None)
    return kept


def randomize(module: M) -> M:
    """Draw every parameter from N(0, 1/4), in place."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(0, 0.5)
    return module


def input_for(module: Any, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """A random input ``(*shape, I)``, of which some is NaN where that is a missing value."""
    input = torch.randn(*shape, module.input_size, dtype=dtype)
    cell = module.cells[0] if isinstance(module, RecurrentLayer) else module
    kind: Any = type(cell)
    if isinstance(cell, BaseRecurrentCell) and takes_missing(kind):
        return torch.where(torch.rand(input.shape) < 0.4, math.nan, input)
    return input


@cache
def takes_missing(kind: Any) -> bool:
    """Whether a step of a cell is finite though its input is not."""
    with torch.random.fork_rng(), torch.no_grad(), backend("reference"):
        cell: Any = kind(HIDDEN, HIDDEN)
        found = cell(torch.full((1, HIDDEN), math.nan))
    return all(bool(each.isfinite().all()) for each in tensors(found))


def states_for(cell: BaseRecurrentCell, *shape: int) -> Any:
    """Random states ``(*shape, width)``, positive, as a normaliser must be, in ``hx``'s form."""
    states = tuple(
        torch.rand(*shape, width, dtype=torch.float64) + 0.1 for width in cell.state_widths
    )
    return states[0] if len(states) == 1 else states


def tensors(value: Any) -> Iterator[Tensor]:
    """All tensors in a nesting of tuples and lists."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, nn.utils.rnn.PackedSequence):
        yield value.data
    else:
        for item in value:
            yield from tensors(item)


def rebuilt(like: Any, values: Iterator[Tensor]) -> Any:
    """The next of ``values`` in the nesting of ``like``, tensor for tensor."""
    if isinstance(like, Tensor):
        return next(values)
    return type(like)(rebuilt(item, values) for item in like)


def assert_same(ours: Any, theirs: Any, atol: float = 1e-12) -> None:
    """Equal to ``atol`` times the largest number, if that is above 1.

    The default is a thousand roundings of float64.
    """
    first, second = list(tensors(ours)), list(tensors(theirs))
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        finite = other.detach().abs().nan_to_num(0, 0, 0)
        size = max(1.0, float(finite.max())) if finite.numel() and not finite.is_meta else 1.0
        torch.testing.assert_close(one, other, rtol=0, atol=atol * size)


def gradients(module: nn.Module, *results: Any) -> dict[str, Tensor]:
    """Gradient of every parameter, of a random weighting of all that ``results`` hold."""
    module.zero_grad()
    generator = torch.Generator().manual_seed(1)
    total = torch.zeros((), dtype=torch.float64)
    for tensor in tensors(results):
        total = total + (tensor * torch.randn(tensor.shape, generator=generator)).sum()
    total.backward()
    return {
        name: parameter.grad.clone()
        for name, parameter in module.named_parameters()
        if parameter.grad is not None
    }


def compile_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have kernels compiled without optimisation, in a fifth of the time.

    With it the compiler is tried by other tests, on the same loops.
    """
    flags = tuple("-O0" if flag == "-O3" else flag for flag in target.FLAGS)
    for module in (target, compiler):
        monkeypatch.setattr(module, "FLAGS", flags)
