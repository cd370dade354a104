"""The simple gated recurrent network."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid


def SGRNCell(p: Params, x: Vector, h: Vector) -> Step:
    """Zu and Wei (2020); the bias of the candidate is not theirs."""
    (b,), (d,) = biases(p, "bias_ih", 1), biases(p, "bias_hh", 1)
    candidate = p["weight_ih"] @ x + b
    f = sigmoid(candidate + p["weight_hh"] @ h + d)
    h = np.tanh((1 - f) * candidate + f * h)
    return h, (h,)
