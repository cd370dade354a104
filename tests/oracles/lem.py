"""Long expressive memory."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def LEMCell(p: Params, x: Vector, y: Vector, z: Vector, *, dt: float) -> Step:
    """Rusch et al. (2022); the first block is the step of y, the second the step of z."""
    W_1, W_2, W_z, W_y = split(p["weight_ih"], 4)
    U_1, U_2, U_z = split(p["weight_hh"], 3)
    b_1, b_2, b_z, b_y = biases(p, "bias_ih", 4)
    d_1, d_2, d_z = biases(p, "bias_hh", 3)
    (e,) = biases(p, "bias_ch", 1)
    step_y = dt * sigmoid(W_1 @ x + b_1 + U_1 @ y + d_1)
    step_z = dt * sigmoid(W_2 @ x + b_2 + U_2 @ y + d_2)
    z = (1 - step_z) * z + step_z * np.tanh(W_z @ x + b_z + U_z @ y + d_z)
    y = (1 - step_y) * y + step_y * np.tanh(W_y @ x + b_y + p["weight_ch"] @ z + e)
    return y, (y, z)
