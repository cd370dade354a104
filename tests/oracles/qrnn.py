"""The quasi-recurrent network."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid


def QRNNCell(p: Params, x: Vector, c: Vector, x_prev: Vector) -> Step:
    """Bradbury et al. (2017), fo-pooling over one convolution of width two."""
    (b,) = biases(p, "bias_ih", 1)
    window = np.concatenate([x_prev, x])
    a, f, o = np.split(np.hstack([p["weight_hh"], p["weight_ih"]]) @ window + b, 3)
    c = sigmoid(f) * c + (1 - sigmoid(f)) * np.tanh(a)
    return sigmoid(o) * c, (c, x)
