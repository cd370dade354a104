"""The GRU whose gates see the state and a bias."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def GRU1Cell(p: Params, x: Vector, h: Vector) -> Step:
    """Dey and Salem (2017), variant 1: gates of the state and a bias."""
    U_z, U_r, U = split(p["weight_hh"], 3)
    d_z, d_r, d = biases(p, "bias_hh", 3)
    return _gru(p, x, h, sigmoid(U_z @ h + d_z), sigmoid(U_r @ h + d_r), U, d)


def _gru(p: Params, x: Vector, h: Vector, z: Vector, r: Vector, U: Vector, d: Vector) -> Step:
    (b,) = biases(p, "bias_ih", 1)
    h = (1 - z) * h + z * np.tanh(p["weight_ih"] @ x + b + U @ (r * h) + d)
    return h, (h,)
