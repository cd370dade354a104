"""The ODE-LSTM."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def ODELSTMCell(p: Params, x: Vector, h: Vector, c: Vector, *, dt: float) -> Step:
    """Lechner and Hasani (2020), algorithm 1: an LSTM, then h by an ODE solver, here Euler's."""
    W, U = split(p["weight_ih"], 4), split(p["weight_hh"], 4)
    b, d = biases(p, "bias_ih", 4), biases(p, "bias_hh", 4)
    i, f, g, o = (W[n] @ x + b[n] + U[n] @ h + d[n] for n in range(4))
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    (first, second), (inner, outer) = split(p["weight_ode"], 2), biases(p, "bias_ode", 2)
    for _ in range(3):
        slope = second @ np.tanh(first @ h + inner) + outer
        h = h + slope * (dt / 3)
    return h, (h, c)
