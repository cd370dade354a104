"""The intersection network."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def IntersectionRNNCell(p: Params, x: Vector, h: Vector) -> Step:
    """Collins, Sohl-Dickstein and Sussillo (2017), the +RNN, with relu in depth."""
    W_1, W_2, W_3, W_4 = split(p["weight_ih"], 4)
    U_1, U_2, U_3, U_4 = split(p["weight_hh"], 4)
    b_1, b_2, b_3, b_4 = biases(p, "bias_ih", 4)
    d_1, d_2, d_3, d_4 = biases(p, "bias_hh", 4)
    y_in = np.maximum(0, W_1 @ x + b_1 + U_1 @ h + d_1)
    h_in = np.tanh(W_2 @ x + b_2 + U_2 @ h + d_2)
    g_y = sigmoid(W_3 @ x + b_3 + U_3 @ h + d_3)
    g_h = sigmoid(W_4 @ x + b_4 + U_4 @ h + d_4)
    y = g_y * x + (1 - g_y) * y_in
    h = g_h * h + (1 - g_h) * h_in
    return y, (h,)


def UGRNNCell(p: Params, x: Vector, h: Vector) -> Step:
    """Collins, Sohl-Dickstein and Sussillo (2017), the UGRNN."""
    W_c, W_g = split(p["weight_ih"], 2)
    U_c, U_g = split(p["weight_hh"], 2)
    b_c, b_g = biases(p, "bias_ih", 2)
    d_c, d_g = biases(p, "bias_hh", 2)
    c = np.tanh(W_c @ x + b_c + U_c @ h + d_c)
    g = sigmoid(W_g @ x + b_g + U_g @ h + d_g)
    h = g * h + (1 - g) * c
    return h, (h,)
