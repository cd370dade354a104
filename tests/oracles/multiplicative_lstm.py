"""The multiplicative LSTM."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def MultiplicativeLSTMCell(p: Params, x: Vector, h: Vector, c: Vector) -> Step:
    """Krause et al. (2016): an LSTM that sees m in place of its state."""
    W_m, W_i, W_f, W_g, W_o = split(p["weight_ih"], 5)
    V_i, V_f, V_g, V_o = split(p["weight_mh"], 4)
    b_m, b_i, b_f, b_g, b_o = biases(p, "bias_ih", 5)
    (d,) = biases(p, "bias_hh", 1)
    e_i, e_f, e_g, e_o = biases(p, "bias_mh", 4)
    m = (W_m @ x + b_m) * (p["weight_hh"] @ h + d)
    i = sigmoid(W_i @ x + b_i + V_i @ m + e_i)
    f = sigmoid(W_f @ x + b_f + V_f @ m + e_f)
    g = np.tanh(W_g @ x + b_g + V_g @ m + e_g)
    o = sigmoid(W_o @ x + b_o + V_o @ m + e_o)
    c = f * c + i * g
    h = o * np.tanh(c)
    return h, (h, c)
