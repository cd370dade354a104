"""The Lipschitz recurrent network."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, split


def LipschitzRNNCell(
    p: Params, x: Vector, h: Vector, *, epsilon: float, beta: float, gamma: float
) -> Step:
    """Erichson et al. (2021), by the forward Euler scheme."""
    (b,) = biases(p, "bias_ih", 1)

    def scheme(M: Vector) -> Vector:
        return (1 - beta) * (M + M.T) + beta * (M - M.T) - gamma * np.eye(len(M))

    A, W = map(scheme, split(p["weight_hh"], 2))
    h = h + epsilon * (A @ h + np.tanh(W @ h + p["weight_ih"] @ x + b))
    return h, (h,)
