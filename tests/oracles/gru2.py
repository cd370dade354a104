"""The GRU whose gates see the state alone."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def GRU2Cell(p: Params, x: Vector, h: Vector) -> Step:
    """Variant 2: gates of the state."""
    U_z, U_r, U = split(p["weight_hh"], 3)
    return _gru(p, x, h, sigmoid(U_z @ h), sigmoid(U_r @ h), U, np.zeros_like(h))


def _gru(p: Params, x: Vector, h: Vector, z: Vector, r: Vector, U: Vector, d: Vector) -> Step:
    (b,) = biases(p, "bias_ih", 1)
    h = (1 - z) * h + z * np.tanh(p["weight_ih"] @ x + b + U @ (r * h) + d)
    return h, (h,)
