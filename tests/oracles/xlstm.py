"""The scalar-memory LSTM."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, log_sigmoid, sigmoid, split


def heads(R: Vector, h: Vector) -> Vector:
    """The product with a block-diagonal matrix, whose blocks lie below each other in R."""
    blocks = len(h) // R.shape[1]
    return np.concatenate([A @ a for A, a in zip(split(R, blocks), split(h, blocks), strict=True)])


def sLSTMCell(p: Params, x: Vector, h: Vector, c: Vector, n: Vector, m: Vector) -> Step:
    """Beck et al. (2024), section 2.2, with the sigmoid forget gate and the stabiliser m."""
    W_i, W_f, W_z, W_o = split(p["weight_ih"], 4)
    R_i, R_f, R_z, R_o = split(p["weight_hh"], 4)
    b_i, b_f, b_z, b_o = biases(p, "bias_ih", 4)
    d_i, d_f, d_z, d_o = biases(p, "bias_hh", 4)
    log_i = W_i @ x + b_i + heads(R_i, h) + d_i
    log_f = log_sigmoid(W_f @ x + b_f + heads(R_f, h) + d_f)
    z = np.tanh(W_z @ x + b_z + heads(R_z, h) + d_z)
    o = sigmoid(W_o @ x + b_o + heads(R_o, h) + d_o)
    # a unit that has stored nothing has no scale to keep
    stabiliser = np.where(n == 0, log_i, np.maximum(log_f + m, log_i))
    i, f = np.exp(log_i - stabiliser), np.exp(log_f + m - stabiliser)
    c = f * c + i * z
    n = f * n + i
    h = o * (c / n)
    return h, (h, c, n, stabiliser)
