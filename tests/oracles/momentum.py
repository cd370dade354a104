"""Recurrent networks whose input has momentum."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def MomentumRNNCell(
    p: Params, x: Vector, h: Vector, v: Vector, *, mu: float, epsilon: float
) -> Step:
    """Nguyen et al. (2020): the velocity v stands in for the input's part of an RNN."""
    (b,), (d,) = biases(p, "bias_ih", 1), biases(p, "bias_hh", 1)
    v = mu * v + epsilon * (p["weight_ih"] @ x + b)
    h = np.tanh(p["weight_hh"] @ h + d + v)
    return h, (h, v)


def MomentumLSTMCell(
    p: Params,
    x: Vector,
    h: Vector,
    c: Vector,
    v_i: Vector,
    v_f: Vector,
    v_g: Vector,
    v_o: Vector,
    *,
    mu: float,
    epsilon: float,
) -> Step:
    """Nguyen et al. (2020): an LSTM each gate of which has a velocity of its own."""
    W_i, W_f, W_g, W_o = split(p["weight_ih"], 4)
    U_i, U_f, U_g, U_o = split(p["weight_hh"], 4)
    b_i, b_f, b_g, b_o = biases(p, "bias_ih", 4)
    d_i, d_f, d_g, d_o = biases(p, "bias_hh", 4)
    v_i = mu * v_i + epsilon * (W_i @ x + b_i)
    v_f = mu * v_f + epsilon * (W_f @ x + b_f)
    v_g = mu * v_g + epsilon * (W_g @ x + b_g)
    v_o = mu * v_o + epsilon * (W_o @ x + b_o)
    i, f = sigmoid(U_i @ h + d_i + v_i), sigmoid(U_f @ h + d_f + v_f)
    g, o = np.tanh(U_g @ h + d_g + v_g), sigmoid(U_o @ h + d_o + v_o)
    c = f * c + i * g
    h = o * np.tanh(c)
    return h, (h, c, v_i, v_f, v_g, v_o)
