"""The minimal gated unit whose gate sees a bias alone."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid


def MGU3Cell(p: Params, x: Vector, h: Vector) -> Step:
    """Heck and Salem (2017), variant 3."""
    (b,) = biases(p, "bias_ih", 1)
    (d,) = biases(p, "bias_hh", 1)
    f = sigmoid(p["weight_gate"])
    n = np.tanh(p["weight_ih"] @ x + b + p["weight_hh"] @ (f * h) + d)
    h = (1 - f) * h + f * n
    return h, (h,)
