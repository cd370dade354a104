"""The simple recurrent network."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases


def RNNCell(p: Params, x: Vector, h: Vector) -> Step:
    """Elman (1990), with tanh."""
    (b,), (d,) = biases(p, "bias_ih", 1), biases(p, "bias_hh", 1)
    h = np.tanh(p["weight_ih"] @ x + b + p["weight_hh"] @ h + d)
    return h, (h,)
