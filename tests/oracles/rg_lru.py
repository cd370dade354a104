"""The real-gated linear recurrent unit."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def RGLRUCell(p: Params, x: Vector, h: Vector) -> Step:
    """De et al. (2024), section 2.4, with c = 8 and a floor under the input's normaliser."""
    narrow = len(p["weight_ih"]) == 2 * len(h)  # the input is the value
    W_r, W_i, *W_v = split(p["weight_ih"], 2 if narrow else 3)
    b_r, b_i, *b_v = biases(p, "bias_ih", 2 if narrow else 3)
    r, i = sigmoid(W_r @ x + b_r), sigmoid(W_i @ x + b_i)
    log_a = -8 * r * np.logaddexp(0, p["weight_decay"])
    value = x if narrow else W_v[0] @ x + b_v[0]
    # expm1 keeps the digits that 1 - a^2 loses where a is near 1
    h = np.exp(log_a) * h + np.sqrt(np.maximum(-np.expm1(2 * log_a), 2.5e-7)) * (i * value)
    return h, (h,)
