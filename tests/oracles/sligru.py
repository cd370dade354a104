"""The stabilised light GRU."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def SLiGRUCell(p: Params, x: Vector, h: Vector) -> Step:
    """Moumen and Parcollet (2023), with a relu: U h of gate and candidate normalised together."""
    W_n, W_z = split(p["weight_ih"], 2)
    b_n, b_z = biases(p, "bias_ih", 2)
    u = p["weight_hh"] @ h
    u_n, u_z = split((u - u.mean()) / np.sqrt(u.var() + 1e-5), 2)
    z = sigmoid(W_z @ x + b_z + u_z)
    h = z * h + (1 - z) * np.maximum(W_n @ x + b_n + u_n, 0)
    return h, (h,)
