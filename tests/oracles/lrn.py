"""The lightweight recurrent network."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def LRNCell(p: Params, x: Vector, h: Vector) -> Step:
    """Zhang and Sennrich (2019), with tanh."""
    P, Q, R = split(p["weight_ih"], 3)
    b_p, b_q, b_r = biases(p, "bias_ih", 3)
    i, f = sigmoid(P @ x + b_p + h), sigmoid(Q @ x + b_q - h)
    h = np.tanh(i * (R @ x + b_r) + f * h)
    return h, (h,)
