"""Bistable recurrent cells."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def BRCell(p: Params, x: Vector, h: Vector) -> Step:
    """Vecoven, Ernst and Drion (2021), the BRC; the bias of the candidate is not theirs."""
    W_a, W_c, W_h = split(p["weight_ih"], 3)
    w_a, w_c = split(p["weight_hh"], 2)
    b_a, b_c, b_h = biases(p, "bias_ih", 3)
    d_a, d_c = biases(p, "bias_hh", 2)
    a = 1 + np.tanh(W_a @ x + b_a + w_a * h + d_a)
    c = sigmoid(W_c @ x + b_c + w_c * h + d_c)
    h = c * h + (1 - c) * np.tanh(W_h @ x + b_h + a * h)
    return h, (h,)


def nBRCell(p: Params, x: Vector, h: Vector) -> Step:
    """Vecoven, Ernst and Drion (2021), the nBRC: as the BRC, but units modulate each other."""
    W_a, W_c, W_h = split(p["weight_ih"], 3)
    U_a, U_c = split(p["weight_hh"], 2)
    b_a, b_c, b_h = biases(p, "bias_ih", 3)
    d_a, d_c = biases(p, "bias_hh", 2)
    a = 1 + np.tanh(W_a @ x + b_a + U_a @ h + d_a)
    c = sigmoid(W_c @ x + b_c + U_c @ h + d_c)
    h = c * h + (1 - c) * np.tanh(W_h @ x + b_h + a * h)
    return h, (h,)
