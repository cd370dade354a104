"""The nested LSTM."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def gates(p: Params, x: Vector, h: Vector, name: str) -> list[Vector]:
    """The arguments of i, f, g and o, of the outer LSTM or, name being "inner_", the inner."""
    W, U = split(p[f"weight_{name}ih"], 4), split(p[f"weight_{name}hh"], 4)
    b, d = biases(p, f"bias_{name}ih", 4), biases(p, f"bias_{name}hh", 4)
    return [W[k] @ x + b[k] + U[k] @ h + d[k] for k in range(4)]


def NestedLSTMCell(p: Params, x: Vector, h: Vector, c: Vector, n: Vector) -> Step:
    """Moniz and Krueger (2018): an LSTM computes the memory c of another, whose g is linear."""
    i, f, g, o = gates(p, x, h, "")
    inner_i, inner_f, inner_g, inner_o = gates(p, sigmoid(i) * g, sigmoid(f) * c, "inner_")
    n = sigmoid(inner_f) * n + sigmoid(inner_i) * np.tanh(inner_g)
    c = sigmoid(inner_o) * np.tanh(n)
    h = sigmoid(o) * np.tanh(c)
    return h, (h, c, n)
