"""The minimal recurrent network."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid


def MinimalRNNCell(p: Params, x: Vector, h: Vector) -> Step:
    """Chen (2017), with one layer as the encoder."""
    (b,), (b_u,) = biases(p, "bias_ih", 1), biases(p, "bias_hh", 1)
    code = np.tanh(p["weight_ih"] @ x + b)
    u = sigmoid(p["weight_hh"] @ h + p["weight_mm"] @ code + b_u)
    h = u * h + (1 - u) * code
    return h, (h,)
