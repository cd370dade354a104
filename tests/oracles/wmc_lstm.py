"""The LSTM with working memory connections."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def WMCLSTMCell(p: Params, x: Vector, h: Vector, c: Vector) -> Step:
    """Landi, Baraldi, Cornia and Cucchiara (2021)."""
    W_i, W_f, W_g, W_o = split(p["weight_ih"], 4)
    U_i, U_f, U_g, U_o = split(p["weight_hh"], 4)
    V_i, V_f, V_o = split(p["weight_mh"], 3)
    b_i, b_f, b_g, b_o = biases(p, "bias_ih", 4)
    d_i, d_f, d_g, d_o = biases(p, "bias_hh", 4)
    e_i, e_f, e_o = biases(p, "bias_mh", 3)
    i = sigmoid(W_i @ x + b_i + U_i @ h + d_i + np.tanh(V_i @ c + e_i))
    f = sigmoid(W_f @ x + b_f + U_f @ h + d_f + np.tanh(V_f @ c + e_f))
    c = f * c + i * np.tanh(W_g @ x + b_g + U_g @ h + d_g)
    o = sigmoid(W_o @ x + b_o + U_o @ h + d_o + np.tanh(V_o @ c + e_o))
    h = o * np.tanh(c)
    return h, (h, c)
