"""The GRU with trainable decays."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def GRUDCell(p: Params, x: Vector, h: Vector, last: Vector, since: Vector, *, dt: float) -> Step:
    """Che et al. (2018), equations 1 to 11; a value that is missing is NaN.

    The state ``last`` is the last observation less the mean, and ``since`` the time that had passed
    since that observation at the last step.
    """
    mean, (W_gamma, b_gamma) = p["weight_mean"], split(p["weight_fade"], 2)
    m = np.isfinite(x).astype(float)
    delta = since + dt
    gamma_x = np.exp(-np.maximum(0, W_gamma * delta + b_gamma))
    b_decay = p.get("bias_decay", np.zeros(len(h)))
    gamma_h = np.exp(-np.maximum(0, p["weight_decay"] @ delta + b_decay))
    observed, before = np.where(m == 1, x, 0), last + mean
    imputed = m * observed + (1 - m) * (gamma_x * before + (1 - gamma_x) * mean)
    h = gamma_h * h
    W, V, U = split(p["weight_ih"], 3), split(p["weight_mh"], 3), split(p["weight_hh"], 3)
    b, d = biases(p, "bias_ih", 3), biases(p, "bias_hh", 3)
    z = sigmoid(W[0] @ imputed + U[0] @ h + V[0] @ m + b[0] + d[0])
    r = sigmoid(W[1] @ imputed + U[1] @ h + V[1] @ m + b[1] + d[1])
    candidate = np.tanh(W[2] @ imputed + U[2] @ (r * h) + V[2] @ m + b[2] + d[2])
    h = (1 - z) * h + z * candidate
    last = m * observed + (1 - m) * before - mean
    return h, (h, last, (1 - m) * delta)
