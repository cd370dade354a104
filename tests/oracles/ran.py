"""The recurrent additive network."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def RANCell(p: Params, x: Vector, h: Vector, c: Vector) -> Step:
    """Lee, Levy and Zettlemoyer (2017); their content has no bias."""
    W_c, W_i, W_f = split(p["weight_ih"], 3)
    U_i, U_f = split(p["weight_hh"], 2)
    b_i, b_f = biases(p, "bias_ih", 2)
    d_i, d_f = biases(p, "bias_hh", 2)
    content = W_c @ x
    i = sigmoid(W_i @ x + b_i + U_i @ h + d_i)
    f = sigmoid(W_f @ x + b_f + U_f @ h + d_f)
    c = i * content + f * c
    h = np.tanh(c)
    return h, (h, c)
