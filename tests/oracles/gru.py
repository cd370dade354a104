"""Gated recurrent units."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def GRUCell(p: Params, x: Vector, h: Vector) -> Step:
    """Cho et al. (2014), section 2.3, with the reset gate after the product, as in cuDNN."""
    W_r, W_z, W_n = split(p["weight_ih"], 3)
    U_r, U_z, U_n = split(p["weight_hh"], 3)
    b_r, b_z, b_n = biases(p, "bias_ih", 3)
    d_r, d_z, d_n = biases(p, "bias_hh", 3)
    r = sigmoid(W_r @ x + b_r + U_r @ h + d_r)
    z = sigmoid(W_z @ x + b_z + U_z @ h + d_z)
    n = np.tanh(W_n @ x + b_n + r * (U_n @ h + d_n))
    h = z * h + (1 - z) * n
    return h, (h,)


def GRUResetBeforeCell(p: Params, x: Vector, h: Vector) -> Step:
    """Cho et al. (2014), section 2.3."""
    W_r, W_z, W_n = split(p["weight_ih"], 3)
    U_r, U_z, U_n = split(p["weight_hh"], 3)
    b_r, b_z, b_n = biases(p, "bias_ih", 3)
    d_r, d_z, d_n = biases(p, "bias_hh", 3)
    r = sigmoid(W_r @ x + b_r + U_r @ h + d_r)
    z = sigmoid(W_z @ x + b_z + U_z @ h + d_z)
    n = np.tanh(W_n @ x + b_n + U_n @ (r * h) + d_n)
    h = z * h + (1 - z) * n
    return h, (h,)
