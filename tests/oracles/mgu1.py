"""The minimal gated unit whose gate sees the state and a bias."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def MGU1Cell(p: Params, x: Vector, h: Vector) -> Step:
    """Heck and Salem (2017), variant 1."""
    (b,) = biases(p, "bias_ih", 1)
    (U_f, U), (d_f, d) = split(p["weight_hh"], 2), biases(p, "bias_hh", 2)
    f = sigmoid(U_f @ h + d_f)
    n = np.tanh(p["weight_ih"] @ x + b + U @ (f * h) + d)
    h = (1 - f) * h + f * n
    return h, (h,)
