"""The LSTM with coupled gates."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def CIFGLSTMCell(p: Params, x: Vector, h: Vector, c: Vector) -> Step:
    """Greff et al. (2017), variant CIFG, without peepholes: i = 1 - f."""
    W_f, W_g, W_o = split(p["weight_ih"], 3)
    U_f, U_g, U_o = split(p["weight_hh"], 3)
    b_f, b_g, b_o = biases(p, "bias_ih", 3)
    d_f, d_g, d_o = biases(p, "bias_hh", 3)
    f = sigmoid(W_f @ x + b_f + U_f @ h + d_f)
    i = 1 - f
    c = f * c + i * np.tanh(W_g @ x + b_g + U_g @ h + d_g)
    h = sigmoid(W_o @ x + b_o + U_o @ h + d_o) * np.tanh(c)
    return h, (h, c)
