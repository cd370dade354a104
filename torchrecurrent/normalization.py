"""Layer normalisation, composed of averages and elementwise operations."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import reduce
from typing import Any, Protocol

import torch
from torch import Tensor

__all__ = ["Normalize", "normalizer"]


class Normalize(Protocol):
    """Subtracts the mean of all units of all values and divides by their standard deviation."""

    def __call__(self, *values: Tensor) -> tuple[Tensor, ...]: ...


def normalizer(average: Callable[[Any], Any], epsilon: Any) -> Normalize:
    """Return layer normalisation by means of a function that averages over the units.

    Args:
        average: maps a value, a tensor or a stand-in for one, to another of the same shape.
        epsilon: a number, or a stand-in for one, that is added to the variance.
    """

    def normalize(*values: Tensor) -> tuple[Tensor, ...]:
        mean = average(reduce(operator.add, values) / len(values))
        centred = [value - mean for value in values]
        squares = [value * value for value in centred]
        variance = average(reduce(operator.add, squares) / len(values))
        deviation = torch.sqrt(variance + epsilon)
        return tuple(value / deviation for value in centred)

    return normalize
