"""Checks that each cell's GPU kernel is as accurate as the reference loop in the same dtype."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from statistics import median
from typing import Any

import torch
from torch import Tensor

from torchrecurrent import backend
from torchrecurrent.catalog.listing import cells
from torchrecurrent.engine import Backend, run_sequence

from .pool import spread

__all__ = ["LIMIT", "SHAPE", "all_cells", "ratio"]

#: T, N, I, H: no multiple of a tile, and long enough for a CUDA graph.
SHAPE = (33, 7, 24, 40)
#: As in tests/test_accuracy.py, which explains why the median of several draws decides.
LIMIT, DRAWS = 3.0, 9
CALLS = 3  # of which the second is captured and the third replayed


def all_cells(
    dtype: torch.dtype, device: torch.device, jobs: int = 1
) -> Iterator[tuple[str, float | str]]:
    """Yield each cell's name and its largest error of a result or gradient, over the loop's.

    Args:
        dtype: of all tensors.
        device: the GPU.
        jobs: how many processes compile and check cells side by side.
    """
    yield from spread(partial(_of_cell, dtype, device), list(cells()), jobs)


def _of_cell(dtype: torch.dtype, device: torch.device, name: str) -> float:
    cell = cells()[name]
    draws = [ratio(cell, dtype, device, 0)]
    if draws[0] > LIMIT:
        draws += [ratio(cell, dtype, device, seed) for seed in range(1, DRAWS)]
    return median(draws)


def ratio(
    kind: Any,
    dtype: torch.dtype,
    device: torch.device,
    seed: int,
    shape: tuple[int, int, int, int] = SHAPE,
) -> float:
    """Return the kernel's largest error against float64, over the loop's or four roundings."""
    torch.manual_seed(seed)
    steps, batch, width, hidden = shape
    try:
        cell = kind(width, hidden, dtype=dtype, device=device)
    except ValueError:  # it has to be as wide as its input
        cell = kind(hidden, hidden, dtype=dtype, device=device)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.normal_(0, 0.5 / hidden**0.5)
    exact = type(cell)(cell.input_size, hidden, dtype=torch.float64, device=device)
    exact.load_state_dict(cell.state_dict())
    x = torch.randn(steps, batch, cell.input_size, device=device).to(dtype)
    truth = _results(exact, x.double(), "reference")
    theirs = _results(cell, x, "reference")
    worst = 0.0
    for _ in range(CALLS):
        ours = _results(cell, x, "triton")
        for one, other, right in zip(ours, theirs, truth, strict=True):
            errors = [float((each.double() - right).norm()) for each in (one, other)]
            floor = 4 / LIMIT * torch.finfo(dtype).eps * float(right.norm())
            found = errors[0] / max(errors[1], floor) if errors[0] else 0.0
            worst = max(worst, found if math.isfinite(found) else math.inf)
    return worst


def _results(cell: Any, x: Tensor, path: Backend) -> list[Tensor]:
    """Return output, last states and all gradients."""
    leaf = x.clone().requires_grad_()
    cell.zero_grad(set_to_none=True)
    with backend(path):
        output, states = run_sequence(cell, leaf, None, cell.initial_states((x.size(1),), x))
    generator = torch.Generator().manual_seed(5)
    parts = [
        (each * torch.randn(each.shape, generator=generator).to(each)).sum()
        for each in (output, *states)
    ]
    torch.stack(parts).sum().backward()
    gradients = [leaf.grad, *(parameter.grad for parameter in cell.parameters())]
    return [output.detach(), *(each.detach() for each in states)] + [
        gradient.clone() for gradient in gradients if gradient is not None
    ]
