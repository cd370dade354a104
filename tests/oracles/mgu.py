"""The minimal gated unit."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def MGUCell(p: Params, x: Vector, h: Vector) -> Step:
    """Zhou et al. (2016)."""
    W_f, W_h = split(p["weight_ih"], 2)
    U_f, U_h = split(p["weight_hh"], 2)
    b_f, b_h = biases(p, "bias_ih", 2)
    d_f, d_h = biases(p, "bias_hh", 2)
    f = sigmoid(W_f @ x + b_f + U_f @ h + d_f)
    candidate = np.tanh(W_h @ x + b_h + U_h @ (f * h) + d_h)
    h = (1 - f) * h + f * candidate
    return h, (h,)
