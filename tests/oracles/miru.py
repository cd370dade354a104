"""Minion recurrent units."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def MiRU1Cell(p: Params, x: Vector, h: Vector, *, update_coefficient: float) -> Step:
    """Zyarah and Kudithipudi (2026), the first unit."""
    W_r, W_h = split(p["weight_ih"], 2)
    U_r, U_h = split(p["weight_hh"], 2)
    b_r, b_h = biases(p, "bias_ih", 2)
    d_r, d_h = biases(p, "bias_hh", 2)
    r = sigmoid(W_r @ x + b_r + U_r @ h + d_r)
    candidate = np.tanh(W_h @ x + b_h + U_h @ (r * h) + d_h)
    h = update_coefficient * h + (1 - update_coefficient) * candidate
    return h, (h,)


def MiRU2Cell(
    p: Params, x: Vector, h: Vector, *, update_coefficient: float, reset_coefficient: float
) -> Step:
    """Zyarah and Kudithipudi (2026), the second unit."""
    (b,), (d,) = biases(p, "bias_ih", 1), biases(p, "bias_hh", 1)
    seen = reset_coefficient * h
    candidate = np.tanh(p["weight_ih"] @ x + b + p["weight_hh"] @ seen + d)
    h = update_coefficient * h + (1 - update_coefficient) * candidate
    return h, (h,)
