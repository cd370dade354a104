"""The GRU with exponential basis functions."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def GRUwECell(p: Params, x: Vector, h: Vector, *, dt: float) -> Step:
    """Joshi and Hauskrecht (2026): a reset by time, then one by the observation."""
    rate, offset = split(p["weight_decay"], 2)
    h = h * np.exp(-np.maximum(rate * dt + offset, 0))
    W, U = split(p["weight_ih"], 3), split(p["weight_hh"], 3)
    b, d = biases(p, "bias_ih", 3), biases(p, "bias_hh", 3)
    z = sigmoid(W[0] @ x + b[0] + U[0] @ h + d[0])
    r = sigmoid(W[1] @ x + b[1] + U[1] @ h + d[1])
    candidate = np.tanh(W[2] @ x + b[2] + U[2] @ (r * h) + d[2])
    h = (1.0 - z) * h + z * candidate
    return h, (h,)
