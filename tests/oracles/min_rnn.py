"""The minimal GRU and LSTM of 2024."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def minGRUCell(p: Params, x: Vector, h: Vector) -> Step:
    """Feng et al. (2024), with the candidate of their appendix on logarithms."""
    W_h, W_z = split(p["weight_ih"], 2)
    b_h, b_z = biases(p, "bias_ih", 2)
    z = sigmoid(W_z @ x + b_z)
    h = (1 - z) * h + z * _g(W_h @ x + b_h)
    return h, (h,)


def minLSTMCell(p: Params, x: Vector, h: Vector) -> Step:
    """Feng et al. (2024), gates scaled to add up to one."""
    W_h, W_f, W_i = split(p["weight_ih"], 3)
    b_h, b_f, b_i = biases(p, "bias_ih", 3)
    f, i = sigmoid(W_f @ x + b_f), sigmoid(W_i @ x + b_i)
    h = f / (f + i) * h + i / (f + i) * _g(W_h @ x + b_h)
    return h, (h,)


def _g(x: Vector) -> Vector:
    return np.where(x >= 0, x + 0.5, sigmoid(x))
