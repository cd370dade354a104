"""The light recurrent unit."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def LightRUCell(p: Params, x: Vector, h: Vector) -> Step:
    """Ye et al. (2024); the bias of the candidate is not theirs."""
    W_h, W_f = split(p["weight_ih"], 2)
    b_h, b_f = biases(p, "bias_ih", 2)
    (d_f,) = biases(p, "bias_hh", 1)
    candidate = np.tanh(W_h @ x + b_h)
    f = sigmoid(p["weight_hh"] @ h + d_f + W_f @ x + b_f)
    h = h + f * (candidate - h)
    return h, (h,)
