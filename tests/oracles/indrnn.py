"""The independently recurrent network."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases


def IndRNNCell(p: Params, x: Vector, h: Vector) -> Step:
    """Li et al. (2018), with relu."""
    (b,), (d,) = biases(p, "bias_ih", 1), biases(p, "bias_hh", 1)
    h = np.maximum(0, p["weight_ih"] @ x + b + p["vector_u"] * h + d)
    return h, (h,)
