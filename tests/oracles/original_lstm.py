"""The LSTM of 1997."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def OriginalLSTMCell(
    p: Params,
    x: Vector,
    h: Vector,
    c: Vector,
    *,
    input_nonlinearity: object,
    output_nonlinearity: object,
) -> Step:
    """Hochreiter and Schmidhuber (1997): no forget gate; squashed as in their experiments."""
    W_i, W_c, W_o = split(p["weight_ih"], 3)
    U_i, U_c, U_o = split(p["weight_hh"], 3)
    b_i, b_c, b_o = biases(p, "bias_ih", 3)
    d_i, d_c, d_o = biases(p, "bias_hh", 3)
    net = W_c @ x + b_c + U_c @ h + d_c
    g = np.tanh(net) if input_nonlinearity == "tanh" else 4 / (1 + np.exp(-net)) - 2
    c = c + sigmoid(W_i @ x + b_i + U_i @ h + d_i) * g
    s = np.tanh(c) if output_nonlinearity == "tanh" else 2 / (1 + np.exp(-c)) - 1
    h = sigmoid(W_o @ x + b_o + U_o @ h + d_o) * s
    return h, (h, c)
