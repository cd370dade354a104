"""How far the fused kernels are from float64, beside the loop in the same dtype.

All memory that a test gets is full of NaN: what a kernel reads and nobody wrote comes out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import median
from typing import Any

import pytest
import torch
from torch import Tensor

from torchrecurrent import LSTM, RecurrentLayer
from torchrecurrent.catalog.listing import cells, layer_of
from torchrecurrent.engine import Backend

from .making import assert_same, input_for, tensors
from .test_engine import RAGGED, WITHOUT_KERNEL, build, results

STEPS = (1, 2, 37, 300)
WIDTHS = (1, 3, 17, 63, 130)
LAYERS = [
    layer for layer in map(layer_of, cells().values()) if layer.__name__ not in WITHOUT_KERNEL
]
#: The promise: at most three times the error of the loop.
LIMIT = 3
#: Enough for a median of ratios of two chance numbers: the largest median of 15 was 2.1 in 30
#: samples of every cell, length and width, while single draws came to 37.
DRAWS = 15


def pairs(k: int) -> list[tuple[int, int]]:
    """Steps and width of the k-th cell's tests: all of either; 300 steps, which take long, once."""
    return [(steps, WIDTHS[(k + shift) % 5]) for shift, steps in enumerate((*STEPS, 37))]


@pytest.fixture(autouse=True)
def nan_in_fresh_memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    torch.use_deterministic_algorithms(True)  # only then does torch fill
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    assert torch.empty(3).isnan().all()
    yield
    torch.use_deterministic_algorithms(False)


def test_five_cells_see_every_length_at_every_width() -> None:
    assert len(LAYERS) >= 5
    assert {pair for k in range(5) for pair in pairs(k)} == {(t, w) for t in STEPS for w in WIDTHS}


@pytest.mark.parametrize(
    ("layer_class", "steps", "width", "dtype"),
    [
        (layer, *pair, dtype)
        for k, layer in enumerate(LAYERS)
        for place, pair in enumerate(pairs(k))
        # The kernels of bfloat16 are those of float32: each cell is tried with it once.
        for dtype in (torch.float32, torch.bfloat16)[: 1 + (place == k // 5 % 5)]
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_as_accurate_as_the_reference(
    layer_class: type[RecurrentLayer], steps: int, width: int, dtype: torch.dtype
) -> None:
    """Against float64, at most three times the error of the reference in the same dtype.

    One draw settles most cases. Where it does not, the median of more does: a single number's
    error is small by chance in one draw and not in the next, and a bistable unit near its
    threshold amplifies either path's rounding.
    """
    draws = [ratios(layer_class, steps, width, dtype, 0)]
    if max(draws[0].values()) > LIMIT:
        draws += [ratios(layer_class, steps, width, dtype, seed) for seed in range(1, DRAWS)]
    medians = {name: median(draw[name] for draw in draws) for name in draws[0]}
    assert max(medians.values()) <= LIMIT, medians


def test_error_does_not_grow_with_the_length() -> None:
    """Beside the loop's, which sums up the gradient of ``bias_ih`` over all steps in pairs."""
    found = ratios(LSTM, 2000, 63, torch.float32, 0)
    assert max(found.values()) <= LIMIT, found


def ratios(
    layer_class: type[RecurrentLayer],
    steps: int,
    width: int,
    dtype: torch.dtype,
    seed: int,
    path: Backend = "c",
    device: str = "cpu",
) -> dict[str, float]:
    """The kernel's error over the loop's, for every result."""
    torch.manual_seed(seed)
    layer = build(layer_class, width, dtype=dtype).to(device)
    exact = build(layer_class, width, dtype=torch.float64).to(device)
    exact.load_state_dict(layer.state_dict())
    input = input_for(layer, steps, 3, dtype=dtype).to(device)
    with torch.no_grad():
        states = list(tensors(layer(input[:5])[1]))  # what this cell's states may be
    truth = results(exact, input.double(), "reference", hx=_form([s.double() for s in states]))
    ours = results(layer, input, path, hx=_form(states))
    theirs = results(layer, input, "reference", hx=_form(states))
    made = ["output", *(f"state {k}" for k in range(len(states)))]
    leaves = ["input", *made[1:], *(name for name, _ in layer.named_parameters())]
    names = made + [f"gradient of {name}" for name in leaves]
    return {
        name: _ratio(*three)
        for name, three in zip(names, zip(ours, theirs, truth, strict=True), strict=True)
    }


def _form(states: list[Tensor]) -> Any:
    return states[0] if len(states) == 1 else tuple(states)


def _ratio(ours: Tensor, theirs: Tensor, truth: Tensor) -> float:
    """Our error over theirs; where theirs is small by chance, over 4 / 3 roundings of the value.

    So four roundings are always allowed: the result's own, and those of the last few operations.
    """
    assert truth.isfinite().all()
    errors = [float((found.double() - truth).norm()) for found in (ours, theirs)]
    floor = 4 / LIMIT * torch.finfo(ours.dtype).eps * float(truth.norm())
    ratio = errors[0] / max(errors[1], floor) if errors[0] else 0.0
    return ratio if math.isfinite(ratio) else math.inf  # max() and median() overlook NaN


@pytest.mark.parametrize("layer_class", LAYERS, ids=lambda value: value.__name__)
def test_what_lay_in_memory_changes_nothing(
    layer_class: type[RecurrentLayer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where sequences end early; the tests above have them equally long."""
    layer = build(layer_class, 9, dtype=torch.float64)
    input = input_for(layer, 7, 5)
    found = results(layer, input, "c", lengths=RAGGED)
    assert all(each.isfinite().all() for each in found)
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", False)
    assert_same(results(layer, input, "c", lengths=RAGGED), found, 0)
