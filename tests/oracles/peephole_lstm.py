"""The LSTM with peepholes."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def PeepholeLSTMCell(p: Params, x: Vector, h: Vector, c: Vector) -> Step:
    """The peepholes of Gers, Schraudolph and Schmidhuber (2002), with tanh at the output."""
    W_i, W_f, W_g, W_o = split(p["weight_ih"], 4)
    U_i, U_f, U_g, U_o = split(p["weight_hh"], 4)
    b_i, b_f, b_g, b_o = biases(p, "bias_ih", 4)
    d_i, d_f, d_g, d_o = biases(p, "bias_hh", 4)
    p_i, p_f, p_o = split(p["weight_ph"], 3)
    i = sigmoid(W_i @ x + b_i + U_i @ h + d_i + p_i * c)
    f = sigmoid(W_f @ x + b_f + U_f @ h + d_f + p_f * c)
    c = f * c + i * np.tanh(W_g @ x + b_g + U_g @ h + d_g)
    o = sigmoid(W_o @ x + b_o + U_o @ h + d_o + p_o * c)
    h = o * np.tanh(c)
    return h, (h, c)
