"""The recurrent highway network."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def RHNCell(p: Params, x: Vector, s: Vector, *, depth: int) -> Step:
    """Zilly et al. (2017), with coupled gates; layer 1 alone sees the input."""
    further = 2 * (depth - 1)
    deep = split(p["weight_dh"], further) if further else []
    deep_bias = biases(p, "bias_dh", further) if further else []
    W_h, W_t = split(p["weight_ih"], 2)
    b_h, b_t = biases(p, "bias_ih", 2)
    d_h, d_t = biases(p, "bias_hh", 2)
    R_h, R_t = split(p["weight_hh"], 2)
    for layer in range(depth):
        if layer == 0:
            h = np.tanh(W_h @ x + b_h + R_h @ s + d_h)
            t = sigmoid(W_t @ x + b_t + R_t @ s + d_t)
        else:  # all candidates' kernels lie before all gates'
            k, l = layer - 1, depth - 1 + layer - 1
            h = np.tanh(deep[k] @ s + deep_bias[k])
            t = sigmoid(deep[l] @ s + deep_bias[l])
        s = h * t + s * (1 - t)
    return s, (s,)
