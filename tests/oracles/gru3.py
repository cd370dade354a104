"""The GRU whose gates see a bias alone."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def GRU3Cell(p: Params, x: Vector, h: Vector) -> Step:
    """Variant 3: gates of a bias."""
    b_z, b_r = split(p["weight_gate"], 2)
    (d,) = biases(p, "bias_hh", 1)
    return _gru(p, x, h, sigmoid(b_z), sigmoid(b_r), p["weight_hh"], d)


def _gru(p: Params, x: Vector, h: Vector, z: Vector, r: Vector, U: Vector, d: Vector) -> Step:
    (b,) = biases(p, "bias_ih", 1)
    h = (1 - z) * h + z * np.tanh(p["weight_ih"] @ x + b + U @ (r * h) + d)
    return h, (h,)
