"""The entity-aware LSTM."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def EALSTMCell(p: Params, x: Vector, h: Vector, c: Vector) -> Step:
    """Kratzert et al. (2019), equations 7 to 12: the input gate sees the catchment alone."""
    W_f, W_g, W_o = split(p["weight_ih"], 3)
    U_f, U_g, U_o = split(p["weight_hh"], 3)
    b_f, b_g, b_o = biases(p, "bias_ih", 3)
    x_d, x_s = np.split(x, [W_f.shape[1]])
    i = sigmoid(p["weight_static"] @ x_s + p.get("bias_static", 0))
    f = sigmoid(W_f @ x_d + U_f @ h + b_f)
    g = np.tanh(W_g @ x_d + U_g @ h + b_g)
    o = sigmoid(W_o @ x_d + U_o @ h + b_o)
    c = f * c + i * g
    h = o * np.tanh(c)
    return h, (h, c)
