"""The skip LSTM and the skip GRU."""

from __future__ import annotations

import numpy as np

from . import gru
from .mathematics import Params, Step, Vector, biases, sigmoid, split


def SkipLSTMCell(p: Params, x: Vector, h: Vector, c: Vector, w: Vector) -> Step:
    """Campos et al. (2018), equations 2 to 6, of an LSTM; the paper's gate is 1 - w."""
    W, U = split(p["weight_ih"], 4), split(p["weight_hh"], 4)
    b, d = biases(p, "bias_ih", 4), biases(p, "bias_hh", 4)
    i, f, g, o = (W[n] @ x + U[n] @ h + b[n] + d[n] for n in range(4))
    if 1 - w[0] > 0.5:
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
    return h, (h, c, _next_wait(p, c, w))


def SkipGRUCell(p: Params, x: Vector, h: Vector, w: Vector) -> Step:
    """Campos et al. (2018), equations 2 to 6, of a GRU with the reset gate before the product."""
    if 1 - w[0] > 0.5:
        h, _ = gru.GRUResetBeforeCell(p, x, h)
    return h, (h, _next_wait(p, h, w))


def _next_wait(p: Params, state: Vector, w: Vector) -> Vector:
    gate = 1 - w
    step = sigmoid(p["weight_update"] @ state + p.get("bias_update", 0.0))
    return 1 - (step if gate[0] > 0.5 else gate + np.minimum(step, 1 - gate))
