"""The mogrifier LSTM."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def MogrifierLSTMCell(p: Params, x: Vector, h: Vector, c: Vector, *, rounds: int) -> Step:
    """Melis et al. (2020): input and state scale each other in turn, the input first."""
    odd, even = (rounds + 1) // 2, rounds // 2
    Q = split(p["weight_q"], odd) if odd else []
    q = biases(p, "bias_q", odd) if odd else []
    R = split(p["weight_r"], even) if even else []
    r = biases(p, "bias_r", even) if even else []
    for k in range(rounds):  # from 0, where the paper counts from 1
        if k % 2 == 0:
            x = 2 * sigmoid(Q[k // 2] @ h + q[k // 2]) * x
        else:
            h = 2 * sigmoid(R[k // 2] @ x + r[k // 2]) * h
    W_i, W_f, W_g, W_o = split(p["weight_ih"], 4)
    U_i, U_f, U_g, U_o = split(p["weight_hh"], 4)
    b_i, b_f, b_g, b_o = biases(p, "bias_ih", 4)
    d_i, d_f, d_g, d_o = biases(p, "bias_hh", 4)
    i, f = sigmoid(W_i @ x + b_i + U_i @ h + d_i), sigmoid(W_f @ x + b_f + U_f @ h + d_f)
    g, o = np.tanh(W_g @ x + b_g + U_g @ h + d_g), sigmoid(W_o @ x + b_o + U_o @ h + d_o)
    c = f * c + i * g
    h = o * np.tanh(c)
    return h, (h, c)
