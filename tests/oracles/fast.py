"""FastRNN and FastGRNN."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid


def FastRNNCell(p: Params, x: Vector, h: Vector) -> Step:
    """Kusupati et al. (2018): the residual's weights are sigmoids of two numbers."""
    (b,), (d,) = biases(p, "bias_ih", 1), biases(p, "bias_hh", 1)
    candidate = np.tanh(p["weight_ih"] @ x + p["weight_hh"] @ h + b + d)
    h = sigmoid(p["beta"]) * h + sigmoid(p["alpha"]) * candidate
    return h, (h,)


def FastGRNNCell(p: Params, x: Vector, h: Vector) -> Step:
    """Kusupati et al. (2018): gate and candidate share W and U, not the bias."""
    b_z, b_h = biases(p, "bias_ih", 2)
    d_z, d_h = biases(p, "bias_hh", 2)
    shared = p["weight_ih"] @ x + p["weight_hh"] @ h
    z = sigmoid(shared + b_z + d_z)
    candidate = np.tanh(shared + b_h + d_h)
    h = (sigmoid(p["zeta"]) * (1 - z) + sigmoid(p["nu"])) * candidate + z * h
    return h, (h,)
