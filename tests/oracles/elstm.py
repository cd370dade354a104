"""The element-wise LSTM."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def eLSTMCell(p: Params, x: Vector, c: Vector) -> Step:
    """Irie et al. (2024): coupled gates, each unit by itself but for the output gate."""
    W_z, W_f, W_o = split(p["weight_ih"], 3)
    b_z, b_f, b_o = biases(p, "bias_ih", 3)
    u_z, u_f = split(p["weight_hh"], 2)
    f = sigmoid(W_f @ x + b_f + u_f * c)
    c = f * c + (1 - f) * np.tanh(W_z @ x + b_z + u_z * c)
    return sigmoid(W_o @ x + p["weight_out"] @ c + b_o) * c, (c,)
