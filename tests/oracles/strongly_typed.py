"""Strongly-typed networks."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def TGRUCell(p: Params, x: Vector, h: Vector, x_prev: Vector) -> Step:
    """Balduzzi and Ghifary (2016), the T-GRU."""
    W_z, W_f, W_o = split(p["weight_ih"], 3)
    V_z, V_f, V_o = split(p["weight_hh"], 3)
    b_z, b_f, b_o = biases(p, "bias_ih", 3)
    d_z, d_f, d_o = biases(p, "bias_hh", 3)
    z = W_z @ x + b_z + V_z @ x_prev + d_z
    f = sigmoid(W_f @ x + b_f + V_f @ x_prev + d_f)
    o = np.tanh(W_o @ x + b_o + V_o @ x_prev + d_o)
    h = f * h + z * o
    return h, (h, x)


def TRNNCell(p: Params, x: Vector, h: Vector) -> Step:
    """Balduzzi and Ghifary (2016), the T-RNN; the bias of z is not theirs."""
    W, V = split(p["weight_ih"], 2)
    b_z, b = biases(p, "bias_ih", 2)
    f = sigmoid(V @ x + b)
    h = f * h + (1 - f) * (W @ x + b_z)
    return h, (h,)


def TLSTMCell(p: Params, x: Vector, c: Vector, x_prev: Vector) -> Step:
    """Balduzzi and Ghifary (2016), the T-LSTM."""
    W_z, W_f, W_o = split(p["weight_ih"], 3)
    V_z, V_f, V_o = split(p["weight_hh"], 3)
    b_z, b_f, b_o = biases(p, "bias_ih", 3)
    d_z, d_f, d_o = biases(p, "bias_hh", 3)
    z = W_z @ x + b_z + V_z @ x_prev + d_z
    f = sigmoid(W_f @ x + b_f + V_f @ x_prev + d_f)
    o = np.tanh(W_o @ x + b_o + V_o @ x_prev + d_o)
    c = f * c + (1 - f) * z
    return c * o, (c, x)
