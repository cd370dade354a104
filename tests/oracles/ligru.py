"""The light GRU."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def LiGRUCell(p: Params, x: Vector, h: Vector) -> Step:
    """Ravanelli et al. (2018), without batch normalisation."""
    W_z, W_n = split(p["weight_ih"], 2)
    U_z, U_n = split(p["weight_hh"], 2)
    b_z, b_n = biases(p, "bias_ih", 2)
    d_z, d_n = biases(p, "bias_hh", 2)
    z = sigmoid(W_z @ x + b_z + U_z @ h + d_z)
    candidate = np.maximum(W_n @ x + b_n + U_n @ h + d_n, 0)
    h = z * h + (1 - z) * candidate
    return h, (h,)
