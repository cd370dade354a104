"""The GRU as a differential equation."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def GRUODECell(p: Params, x: Vector, h: Vector, *, dt: float) -> Step:
    """De Brouwer et al. (2019), equation 3: dh/dt = (1 - z) (g - h), by Euler's method."""
    W, U = split(p["weight_ih"], 3), split(p["weight_hh"], 3)
    b, d = biases(p, "bias_ih", 3), biases(p, "bias_hh", 3)
    r = sigmoid(W[0] @ x + U[0] @ h + b[0] + d[0])
    z = sigmoid(W[1] @ x + U[1] @ h + b[1] + d[1])
    g = np.tanh(W[2] @ x + U[2] @ (r * h) + b[2] + d[2])
    h = h + dt * ((1 - z) * (g - h))
    return h, (h,)
