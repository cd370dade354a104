"""The simple recurrent unit."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def SRUCell(p: Params, x: Vector, c: Vector, *, highway_bias: float) -> Step:
    """Lei et al. (2018), with the scaling of the highway from their initialisation."""
    W, W_f, W_r = split(p["weight_ih"], 3)
    v_f, v_r = split(p["weight_hh"], 2)
    b_f, b_r = biases(p, "bias_ih", 2)
    alpha = np.sqrt(1 + 2 * np.exp(highway_bias))
    f, r = sigmoid(W_f @ x + v_f * c + b_f), sigmoid(W_r @ x + v_r * c + b_r)
    c = f * c + (1 - f) * (W @ x)
    skip = p["weight_skip"] @ x if "weight_skip" in p else x
    return r * c + (1 - r) * alpha * skip, (c,)
