"""The structurally constrained recurrent network."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def SCRNCell(p: Params, x: Vector, h: Vector, s: Vector, *, alpha: float) -> Step:
    """Mikolov et al. (2014), with biases, and tanh for the softmax."""
    B, A = split(p["weight_ih"], 2)
    R, U = split(p["weight_hh"], 2)
    P, V = split(p["weight_ch"], 2)
    b_s, b_h = biases(p, "bias_ih", 2)
    d_h, d_y = biases(p, "bias_hh", 2)
    e_h, e_y = biases(p, "bias_ch", 2)
    s = (1 - alpha) * (B @ x + b_s) + alpha * s
    h = sigmoid(P @ s + e_h + A @ x + b_h + R @ h + d_h)
    return np.tanh(U @ h + d_y + V @ s + e_y), (h, s)
