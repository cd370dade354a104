"""The time mixing of RWKV-4."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def RWKV4Cell(p: Params, x: Vector, a: Vector, b: Vector, m: Vector, before: Vector) -> Step:
    """Peng et al. (2023), the sums themselves; the states are divided by e^m."""
    shifts = biases(p, "bias_ih", 3)
    mixes, kernels = split(p["weight_mix"], 3), split(p["weight_ih"], 3)
    k, v, r = (
        W @ (mu * x + (1 - mu) * before) + d
        for W, mu, d in zip(kernels, mixes, shifts, strict=True)
    )
    total, weight = a * np.exp(m), b * np.exp(m)
    new = np.exp(p["weight_bonus"] + k)
    average = (total + new * v) / (weight + new)
    y = p["weight_out"] @ (sigmoid(r) * average)
    decay = np.exp(-np.exp(p["weight_decay"]))
    total, weight = decay * total + np.exp(k) * v, decay * weight + np.exp(k)
    m = np.where(b == 0, k, np.maximum(m - np.exp(p["weight_decay"]), k))
    return y, (total / np.exp(m), weight / np.exp(m), m, x)
