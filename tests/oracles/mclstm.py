"""The memory-controller LSTM."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def MCLSTMCell(p: Params, x: Vector, v: Vector, c: Vector) -> Step:
    """Ben-Ari and Shwartz-Ziv (2017): the controller's vector, not the output, is fed back."""
    W, U = split(p["weight_ih"], 5), split(p["weight_hh"], 5)
    b, d = biases(p, "bias_ih", 5), biases(p, "bias_hh", 5)
    pre = [W[k] @ x + b[k] + U[k] @ v + d[k] for k in range(5)]
    forget, write, read, control = (sigmoid(a) for a in pre[:4])
    c = forget * c + write * np.tanh(pre[4])
    return read * np.tanh(c), (control * np.tanh(c), c)
