"""JANET."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def JANETCell(p: Params, x: Vector, h: Vector, *, beta: float) -> Step:
    """Van der Westhuizen and Lasenby (2018)."""
    W_f, W_c = split(p["weight_ih"], 2)
    U_f, U_c = split(p["weight_hh"], 2)
    b_f, b_c = biases(p, "bias_ih", 2)
    d_f, d_c = biases(p, "bias_hh", 2)
    s = U_f @ h + d_f + W_f @ x + b_f
    candidate = np.tanh(U_c @ h + d_c + W_c @ x + b_c)
    h = sigmoid(s) * h + sigmoid(beta - s) * candidate
    return h, (h,)
