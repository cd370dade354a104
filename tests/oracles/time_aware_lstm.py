"""The time-aware LSTM."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def TimeAwareLSTMCell(p: Params, x: Vector, h: Vector, c: Vector, *, dt: float) -> Step:
    """Baytas et al. (2017): long- and discounted short-term memory, then an LSTM."""
    (decomposition,) = biases(p, "bias_short", 1)
    short = np.tanh(p["weight_short"] @ c + decomposition)
    adjusted = (c - short) + short * (1 / np.log(np.e + dt))
    W, U = split(p["weight_ih"], 4), split(p["weight_hh"], 4)
    b, d = biases(p, "bias_ih", 4), biases(p, "bias_hh", 4)
    i, f, g, o = (W[n] @ x + b[n] + U[n] @ h + d[n] for n in range(4))
    c = sigmoid(f) * adjusted + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    return h, (h, c)
