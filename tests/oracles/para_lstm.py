"""The diagonal LSTM of ParaRNN."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def ParaLSTMCell(p: Params, x: Vector, h: Vector, c: Vector) -> Step:
    """Danieli et al. (2025): coupled gates, with peepholes."""
    W_f, W_o, W_c = split(p["weight_ih"], 3)
    b_f, b_o, b_c = biases(p, "bias_ih", 3)
    u_f, u_o, u_c = split(p["weight_hh"], 3)
    p_f, p_o = split(p["weight_ph"], 2)
    f = sigmoid(W_f @ x + b_f + u_f * h + p_f * c)
    c = f * c + (1 - f) * np.tanh(W_c @ x + b_c + u_c * h)
    h = sigmoid(W_o @ x + b_o + u_o * h + p_o * c) * np.tanh(c)
    return h, (h, c)
