"""The LSTM and the GRU with a refine gate."""

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


def URGRUCell(p: Params, x: Vector, h: Vector) -> Step:
    """Gu et al. (2020), the same gate in a GRU; the update gate there is 1 - g."""
    W_f, W_r, W_s, W_n = split(p["weight_ih"], 4)
    U_f, U_r, U_s, U_n = split(p["weight_hh"], 4)
    b_f, b_r, b_s, b_n = biases(p, "bias_ih", 4)
    d_f, d_r, d_s, d_n = biases(p, "bias_hh", 4)
    update = 1 - sigmoid(W_f @ x + b_f + U_f @ h + d_f)
    r = 1 - sigmoid(W_r @ x + b_r + U_r @ h + d_r)
    update = (1 - 2 * r) * update**2 + 2 * r * update
    s = sigmoid(W_s @ x + b_s + U_s @ h + d_s)
    n = np.tanh(W_n @ x + b_n + U_n @ (s * h) + d_n)
    h = (1 - update) * h + update * n
    return h, (h,)
