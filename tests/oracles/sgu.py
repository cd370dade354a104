"""Simple gated units."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, split


def SGUCell(p: Params, x: Vector, h: Vector) -> Step:
    """Gao and Glowacka (2016), the shallow unit; recurrent biases are not theirs."""
    scaled, z = gates(p, x, h)
    h = (1 - z) * h + z * np.logaddexp(0, scaled)
    return h, (h,)


def DSGUCell(p: Params, x: Vector, h: Vector) -> Step:
    """Gao and Glowacka (2016), the deep unit; recurrent biases are not theirs."""
    scaled, z = gates(p, x, h)
    h = (1 - z) * h + z / (1 + np.exp(-p["weight_ho"] @ scaled))
    return h, (h,)


def gates(p: Params, x: Vector, h: Vector) -> tuple[Vector, Vector]:
    """The common part of the units: the state scaled by the input's gate, and the update gate."""
    W_g, W_z = split(p["weight_ih"], 2)
    U_g, U_z = split(p["weight_hh"], 2)
    b_g, b_z = biases(p, "bias_ih", 2)
    d_g, d_z = biases(p, "bias_hh", 2)
    x_g = W_g @ x + b_g
    z_g = np.tanh(U_g @ (x_g * h) + d_g)
    z = np.clip(0.2 * (W_z @ x + b_z + U_z @ h + d_z) + 0.5, 0, 1)
    return z_g * h, z
