"""The stackable recurrent cell."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def STARCell(p: Params, x: Vector, h: Vector, *, beta: float) -> Step:
    """Turkoglu and others (2021); beta is the authors' code's, with f = -k."""
    W_z, W_k = split(p["weight_ih"], 2)
    b_z, b_k = biases(p, "bias_ih", 2)
    (d_k,) = biases(p, "bias_hh", 1)
    f = -(W_k @ x + b_k + p["weight_hh"] @ h + d_k)
    z = np.tanh(W_z @ x + b_z)
    h = np.tanh(sigmoid(f) * h + (1 - sigmoid(f - beta)) * z)
    return h, (h,)
