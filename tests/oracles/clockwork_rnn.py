"""The clockwork RNN."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases


def ClockworkRNNCell(p: Params, x: Vector, h: Vector, wait: Vector) -> Step:
    """Koutnik et al. (2014), section 3, where ``wait`` is the number of steps until t mod T = 0."""
    T, (b,) = p["weight_period"], biases(p, "bias_ih", 1)
    # a module sees those whose period is not shorter than its own
    W_H = np.where(np.less_equal.outer(T, T), p["weight_hh"], 0)
    y = np.tanh(W_H @ h + p["weight_ih"] @ x + b)
    due = wait < 1
    return np.where(due, y, h), (np.where(due, y, h), np.where(due, wait + T, wait) - 1)
