"""The coupled oscillatory network."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases


def coRNNCell(
    p: Params, x: Vector, y: Vector, z: Vector, *, dt: float, gamma: float, epsilon: float
) -> Step:
    """Rusch and Mishra (2021), with explicit damping: y'' = force - gamma y - epsilon y'."""
    (b,), (d,), (e,) = (biases(p, name, 1) for name in ("bias_ih", "bias_hh", "bias_ch"))
    force = np.tanh(p["weight_ih"] @ x + b + p["weight_hh"] @ y + d + p["weight_ch"] @ z + e)
    z = z + dt * (force - gamma * y - epsilon * z)
    y = y + dt * z
    return y, (y, z)
