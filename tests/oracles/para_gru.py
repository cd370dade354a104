"""The diagonal GRU of ParaRNN."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def ParaGRUCell(p: Params, x: Vector, h: Vector) -> Step:
    """Danieli et al. (2025): each unit sees itself."""
    W_z, W_r, W_n = split(p["weight_ih"], 3)
    b_z, b_r, b_n = biases(p, "bias_ih", 3)
    u_z, u_r, u_n = split(p["weight_hh"], 3)
    z, r = sigmoid(W_z @ x + b_z + u_z * h), sigmoid(W_r @ x + b_r + u_r * h)
    h = (1 - z) * h + z * np.tanh(W_n @ x + b_n + u_n * h * r)
    return h, (h,)
