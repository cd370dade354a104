"""Solves a linear recurrence for all time steps at once, unit by unit.

``x_t = A_t x_{t-1} + b_t`` with nothing before the first step: two neighbouring steps are one step
of another such recurrence, of half as many steps. Its solution is every other x, and one more step
from each gives those between. So T steps take log2(T) rounds down and as many up, and the work is a
few times that of a loop, however many there are.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["by_steps", "scan"]


def scan(matrices: Tensor, vectors: Tensor) -> Tensor:
    """Return x for all steps, ``(k, T, *)``.

    A product of many matrices may overflow where :func:`by_steps` does not: then the result is not
    finite.

    Args:
        matrices: ``(k, k, T, *)``: k by k numbers for each step and unit. The first step's are
            never read.
        vectors: ``(k, T, *)``.
    """
    steps = vectors.size(1)
    if steps == 1:
        return vectors
    pairs = steps // 2
    first, second = slice(0, 2 * pairs, 2), slice(1, 2 * pairs, 2)
    later = matrices[:, :, second]
    odd = scan(
        _times(later, matrices[:, :, first]), _applied(later, vectors[:, first], vectors[:, second])
    )
    found = torch.empty_like(vectors)
    found[:, :1] = vectors[:, :1]
    found[:, 1::2] = odd
    between = odd[:, : (steps - 1) // 2]
    found[:, 2::2] = _applied(matrices[:, :, 2::2], between, vectors[:, 2::2])
    return found


def by_steps(matrices: Tensor, vectors: Tensor) -> Tensor:
    """Return the same step by step, with the numbers that a loop has."""
    found = [vectors[:, 0]]
    for matrix, vector in zip(matrices.unbind(2)[1:], vectors.unbind(1)[1:], strict=True):
        found.append(_applied(matrix, found[-1], vector))
    return torch.stack(found, 1)


def _times(first: Tensor, second: Tensor) -> Tensor:
    """The product of matrices whose rows and columns are the first two dimensions."""
    found = first[:, :1] * second[:1]
    for k in range(1, first.size(1)):
        found = torch.addcmul(found, first[:, k : k + 1], second[k : k + 1])
    return found


def _applied(matrices: Tensor, values: Tensor, rest: Tensor) -> Tensor:
    """``matrices @ values + rest``, likewise."""
    for k in range(values.size(0)):
        rest = torch.addcmul(rest, matrices[:, k], values[k])
    return rest
