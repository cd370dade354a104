"""The phased LSTM."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def PhasedLSTMCell(
    p: Params, x: Vector, h: Vector, c: Vector, time: Vector, *, dt: float, r: float, alpha: float
) -> Step:
    """Neil et al. (2016), equations 1 to 10, with the time stamp as a state."""
    W, U = split(p["weight_ih"], 4), split(p["weight_hh"], 4)
    b, d = biases(p, "bias_ih", 4), biases(p, "bias_hh", 4)
    w_i, w_f, w_o = split(p["weight_ph"], 3)
    i, f, g, o = (W[n] @ x + U[n] @ h + b[n] + d[n] for n in range(4))
    new_c = sigmoid(f + w_f * c) * c + sigmoid(i + w_i * c) * np.tanh(g)
    new_h = sigmoid(o + w_o * new_c) * np.tanh(new_c)
    time, period = time + dt, np.exp(p["weight_period"])
    phase = np.mod(time - p["weight_shift"], period) / period
    rising, falling = phase < r / 2, (r / 2 <= phase) & (phase < r)
    k = np.select([rising, falling], [2 * phase / r, 2 - 2 * phase / r], alpha * phase)
    h, c = k * new_h + (1 - k) * h, k * new_c + (1 - k) * c
    return h, (h, c, time)
