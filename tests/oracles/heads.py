"""How cells whose heads have a matrix each lay out their numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .mathematics import Vector

Matrix = NDArray[np.float64]


def keys(value: Vector, heads: int) -> list[Vector]:
    """The key of each head; in a key of all heads they take turns."""
    return [value[head::heads] for head in range(heads)]


def values(value: Vector, heads: int) -> list[Vector]:
    """The value of each head; they lie head by head."""
    return np.split(value, heads)


def matrices(state: Vector, width: int, heads: int) -> list[Matrix]:
    """The matrix of each head; a row of the state has a row of each."""
    rows = state.reshape(-1, width)
    return [rows[:, head * width // heads : (head + 1) * width // heads] for head in range(heads)]


def joined(parts: list[Matrix]) -> Vector:
    """The state that has these matrices."""
    return np.hstack(parts).ravel()


def group_norm(value: Vector, heads: int, epsilon: float) -> Vector:
    """Each head's part of a value, less its mean, divided by its standard deviation."""
    parts = value.reshape(heads, -1)
    centred = parts - parts.mean(1, keepdims=True)
    return np.asarray(centred / np.sqrt((centred**2).mean(1, keepdims=True) + epsilon)).ravel()
