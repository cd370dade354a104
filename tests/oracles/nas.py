"""The cell of neural architecture search."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def relu(a: Vector) -> Vector:
    return np.maximum(a, 0)


def NASCell(p: Params, x: Vector, h: Vector, c: Vector) -> Step:
    """Zoph and Le (2017): pairs 0 to 7, of which the one numbered 3 is a product."""
    from_x = [W @ x for W in split(p["weight_ih"], 8)]
    from_h = [U @ h for U in split(p["weight_hh"], 8)]
    from_x = [v + b for v, b in zip(from_x, biases(p, "bias_ih", 8), strict=True)]
    from_h = [v + d for v, d in zip(from_h, biases(p, "bias_hh", 8), strict=True)]
    first = [
        sigmoid(from_x[0] + from_h[0]),
        relu(from_x[1] + from_h[1]),
        sigmoid(from_x[2] + from_h[2]),
        relu(from_x[3] * from_h[3]),
        np.tanh(from_x[4] + from_h[4]),
        sigmoid(from_x[5] + from_h[5]),
        np.tanh(from_x[6] + from_h[6]),
        sigmoid(from_x[7] + from_h[7]),
    ]
    second = [
        np.tanh(first[0] * first[1]),
        np.tanh(first[2] + first[3]),
        np.tanh(first[4] * first[5]),
        sigmoid(first[6] + first[7]),
    ]
    c = np.tanh(second[0] + c) * second[1]
    h = np.tanh(c * np.tanh(second[2] + second[3]))
    return h, (h, c)
