"""The residual LSTM."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def ResLSTMCell(p: Params, x: Vector, h: Vector, c: Vector) -> Step:
    """Kim, El-Khamy and Lee (2017), with c as wide as h and a peephole at the output gate."""
    W_i, W_f, W_c, W_o = split(p["weight_ih"], 4)
    U_i, U_f, U_c, U_o = split(p["weight_hh"], 4)
    b_i, b_f, b_c, b_o = biases(p, "bias_ih", 4)
    d_i, d_f, d_c, d_o = biases(p, "bias_hh", 4)
    w_i, w_f, w_o = split(p["weight_ph"], 3)
    i = sigmoid(W_i @ x + b_i + U_i @ h + d_i + w_i * c)
    f = sigmoid(W_f @ x + b_f + U_f @ h + d_f + w_f * c)
    c = f * c + i * np.tanh(W_c @ x + b_c + U_c @ h + d_c)
    o = sigmoid(W_o @ x + b_o + U_o @ h + d_o + w_o * c)
    m = p["weight_proj"] @ np.tanh(c)
    h = o * (m + p["weight_res"] @ x)
    return h, (h, c)
