"""The mass-conserving LSTM."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, softmax, split


def MassConservingLSTMCell(p: Params, x: Vector, c: Vector) -> Step:
    """Hoedt et al. (2021), with a redistribution that is learned, and constant."""
    mass, auxiliary = x[0], x[1:]
    W_i, W_o = split(p["weight_ih"], 2)
    b_i, b_o = biases(p, "bias_ih", 2)
    U_i, U_o = split(p["weight_ch"], 2)
    stored = np.abs(c).sum()
    shares = c / stored if stored else c
    i = softmax(W_i @ auxiliary + U_i @ shares + b_i)
    o = sigmoid(W_o @ auxiliary + U_o @ shares + b_o)
    R = np.stack([softmax(column) for column in p["weight_hh"].T], axis=1)
    total = R @ c + i * mass
    return o * total, ((1 - o) * total,)
