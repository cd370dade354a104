"""Layer normalisation, made of averages and of what an elementwise step has anyway."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import reduce
from typing import Any, Protocol

import torch
from torch import Tensor

__all__ = ["Normalize", "average", "normalizer"]


class Normalize(Protocol):
    """Subtracts the mean of all units of all values, and divides by their standard deviation."""

    def __call__(self, *values: Tensor) -> tuple[Tensor, ...]: ...


def average(value: Tensor) -> Tensor:
    """The mean over the units, for each of them the same number."""
    return value.mean(-1, keepdim=True).expand_as(value)


def normalizer(average: Callable[[Any], Any], epsilon: Any) -> Normalize:
    """Layer normalisation, given how to average over the units.

    Args:
        average: maps a value, a tensor or what stands for one, to another of the same shape.
        epsilon: a number, or what stands for one, that is added to the variance.
    """

    def normalize(*values: Tensor) -> tuple[Tensor, ...]:
        mean = average(reduce(operator.add, values) / len(values))
        centred = [value - mean for value in values]
        squares = [value * value for value in centred]
        variance = average(reduce(operator.add, squares) / len(values))
        deviation = torch.sqrt(variance + epsilon)
        return tuple(value / deviation for value in centred)

    return normalize
