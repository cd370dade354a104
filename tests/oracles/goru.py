"""The gated orthogonal recurrent unit."""

from __future__ import annotations

import numpy as np

from .exp_rnn import rotation
from .mathematics import Params, Step, Vector, biases, sigmoid, split


def GORUCell(p: Params, x: Vector, h: Vector) -> Step:
    """Jing et al. (2017), with an orthogonal matrix that is the exponential of a skew one."""
    W_r, W_g, W_c = split(p["weight_ih"], 3)
    U_r, U_g, A = split(p["weight_hh"], 3)
    b_r, b_g, b_c = biases(p, "bias_ih", 3)
    d_r, d_g, d_m = biases(p, "bias_hh", 3)
    r = sigmoid(W_r @ x + U_r @ h + b_r + d_r)
    g = sigmoid(W_g @ x + U_g @ h + b_g + d_g)
    c = W_c @ x + b_c + r * (rotation(A) @ h + d_m)
    candidate = np.sign(c) * np.maximum(np.abs(c) + p["weight_threshold"], 0)
    h = g * h + (1 - g) * candidate
    return h, (h,)
