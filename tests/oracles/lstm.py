"""Long short-term memory."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def LSTMCell(p: Params, x: Vector, h: Vector, c: Vector) -> Step:
    """Gers, Schmidhuber and Cummins (2000); the projection: Sak, Senior and Beaufays (2014)."""
    W_i, W_f, W_g, W_o = split(p["weight_ih"], 4)
    U_i, U_f, U_g, U_o = split(p["weight_hh"], 4)
    b_i, b_f, b_g, b_o = biases(p, "bias_ih", 4)
    d_i, d_f, d_g, d_o = biases(p, "bias_hh", 4)
    i = sigmoid(W_i @ x + b_i + U_i @ h + d_i)
    f = sigmoid(W_f @ x + b_f + U_f @ h + d_f)
    g = np.tanh(W_g @ x + b_g + U_g @ h + d_g)
    o = sigmoid(W_o @ x + b_o + U_o @ h + d_o)
    c = f * c + i * g
    h = o * np.tanh(c)
    if "weight_hr" in p:
        h = p["weight_hr"] @ h
    return h, (h, c)
