"""The continuous-time recurrent network."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases


def CTRNNCell(p: Params, x: Vector, h: Vector, *, dt: float, tau: float) -> Step:
    """An Euler step of tau h' = -h + relu(W x + b + U h + d): Yang and Wang (2020)."""
    (b,), (d,) = biases(p, "bias_ih", 1), biases(p, "bias_hh", 1)
    rate = np.maximum(p["weight_ih"] @ x + b + p["weight_hh"] @ h + d, 0)
    h = h + dt / tau * (-h + rate)
    return h, (h,)
