"""The GRU with time-delay feedback."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def tauGRUCell(p: Params, x: Vector, h: Vector, line: Vector, *, delay: int) -> Step:
    """Erichson, Lim and Mahoney (2022); the line has the last states, oldest first."""
    W_u, W_z, W_g, W_a = split(p["weight_ih"], 4)
    U_u, U_z, U_g, U_a = split(p["weight_hh"], 4)
    b_u, b_z, b_g, b_a = biases(p, "bias_ih", 4)
    d_u, d_z, d_g, d_a = biases(p, "bias_hh", 4)
    oldest, *kept = split(line, delay)
    u = np.tanh(W_u @ x + b_u + U_u @ h + d_u)
    z = np.tanh(W_z @ x + b_z + U_z @ oldest + d_z)
    g = sigmoid(W_g @ x + b_g + U_g @ h + d_g)
    a = sigmoid(W_a @ x + b_a + U_a @ h + d_a)
    line = np.concatenate([*kept, h])
    h = (1 - g) * h + g * (u + a * z)
    return h, (h, line)
