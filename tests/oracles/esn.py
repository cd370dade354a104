"""The echo state network."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases


def ESNCell(p: Params, x: Vector, h: Vector, *, alpha: float) -> Step:
    """Jaeger (2001), with leaky integrators."""
    (b,), (d,) = biases(p, "bias_ih", 1), biases(p, "bias_hh", 1)
    new = np.tanh(p["weight_ih"] @ x + p["weight_hh"] @ h + b + d)
    h = (1 - alpha) * h + alpha * new
    return h, (h,)
