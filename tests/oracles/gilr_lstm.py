"""The LSTM with a linear surrogate of its state."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def GILRLSTMCell(p: Params, x: Vector, s: Vector, c: Vector) -> Step:
    """Martin and Cundy (2018): the gates see a linear recurrence of the input."""
    G, V, *gates = split(p["weight_ih"] @ x, 6)
    b_g, b_v, *shifts = biases(p, "bias_ih", 6)
    g = sigmoid(G + b_g)
    s = g * s + (1 - g) * np.tanh(V + b_v)
    seen = split(p["weight_surrogate"] @ s, 4)
    f, i, o, z = (a + b + u for a, b, u in zip(gates, shifts, seen, strict=True))
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(z)
    return sigmoid(o) * c, (s, c)
