"""The undamped independent controlled oscillatory network."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid


def UnICORNNCell(p: Params, x: Vector, y: Vector, z: Vector, *, dt: float, alpha: float) -> Step:
    """Rusch and Mishra (2021): symplectic Euler, first the velocity, then the position."""
    (b,), (d,) = biases(p, "bias_ih", 1), biases(p, "bias_hh", 1)
    pace = dt * sigmoid(p["weight_ch"])
    force = np.tanh(p["weight_hh"] * y + p["weight_ih"] @ x + b + d) + alpha * y
    z = z - pace * force
    y = y + pace * z
    return y, (y, z)
