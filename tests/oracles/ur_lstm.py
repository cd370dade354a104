"""The LSTM with a refine gate."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def URLSTMCell(p: Params, x: Vector, h: Vector, c: Vector) -> Step:
    """Gu et al. (2020): the refine gate moves f within the band f (1 - f) about it."""
    W_f, W_r, W_u, W_o = split(p["weight_ih"], 4)
    U_f, U_r, U_u, U_o = split(p["weight_hh"], 4)
    b_f, b_r, b_u, b_o = biases(p, "bias_ih", 4)
    d_f, d_r, d_u, d_o = biases(p, "bias_hh", 4)
    f = sigmoid(W_f @ x + b_f + U_f @ h + d_f)
    r = sigmoid(W_r @ x + b_r + U_r @ h + d_r)
    u = np.tanh(W_u @ x + b_u + U_u @ h + d_u)
    o = sigmoid(W_o @ x + b_o + U_o @ h + d_o)
    g = f + (2 * r - 1) * f * (1 - f)
    c = g * c + (1 - g) * u
    h = o * np.tanh(c)
    return h, (h, c)
