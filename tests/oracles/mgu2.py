"""The minimal gated unit whose gate sees the state alone."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def MGU2Cell(p: Params, x: Vector, h: Vector) -> Step:
    """Heck and Salem (2017), variant 2."""
    (b,) = biases(p, "bias_ih", 1)
    U_f, U = split(p["weight_hh"], 2)
    f = sigmoid(U_f @ h)
    n = np.tanh(p["weight_ih"] @ x + b + U @ (f * h))
    h = (1 - f) * h + f * n
    return h, (h,)
