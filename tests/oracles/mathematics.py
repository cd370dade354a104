"""Functions that the oracles share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Params",
    "Step",
    "Vector",
    "biases",
    "log_sigmoid",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "split",
]

Vector: TypeAlias = NDArray[np.float64]
#: Name of a parameter, as in the state dict, to its value.
Params: TypeAlias = Mapping[str, NDArray[np.float64]]
#: The output and the new states.
Step: TypeAlias = tuple[Vector, tuple[Vector, ...]]


def split(stack: Vector, blocks: int) -> list[Vector]:
    """The blocks of a stacked parameter, first to last."""
    return np.split(stack, blocks)


def biases(p: Params, name: str, blocks: int) -> list[Vector]:
    """The blocks of a stacked bias; zeros where it is disabled."""
    return split(p.get(name, np.zeros(blocks)), blocks)


def sigmoid(a: Vector) -> Vector:
    # by tanh, which does not overflow where exp(-a) would
    return np.asarray((1 + np.tanh(a / 2)) / 2)


def log_sigmoid(a: Vector) -> Vector:
    return -np.logaddexp(0, -a)


def silu(a: Vector) -> Vector:
    return a * sigmoid(a)


def softplus(a: Vector) -> Vector:
    return np.logaddexp(0, a)


def softmax(a: Vector) -> Vector:
    powers = np.exp(a - a.max())
    return np.asarray(powers / powers.sum())
