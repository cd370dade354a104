"""The continuous-time LSTM of the neural Hawkes process."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def CTLSTMCell(
    p: Params, x: Vector, c: Vector, target: Vector, rate: Vector, o: Vector, *, dt: float
) -> Step:
    """Mei and Eisner (2017), equations 5a to 7: the decay since the last event, then the event."""
    c_now = target + (c - target) * np.exp(-rate * dt)
    h_now = o * (2 * sigmoid(2 * c_now) - 1)
    W, U = split(p["weight_ih"], 7), split(p["weight_hh"], 7)
    b, d = biases(p, "bias_ih", 7), biases(p, "bias_hh", 7)
    a = [W[n] @ x + b[n] + U[n] @ h_now + d[n] for n in range(7)]
    i, f, i_bar, f_bar, o = (sigmoid(a[n]) for n in (0, 1, 3, 4, 5))
    z = np.tanh(a[2])
    c, target = f * c_now + i * z, f_bar * target + i_bar * z
    return o * np.tanh(c), (c, target, np.logaddexp(0, a[6]), o)
