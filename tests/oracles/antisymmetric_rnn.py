"""Antisymmetric networks."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def AntisymmetricRNNCell(p: Params, x: Vector, h: Vector, *, epsilon: float, gamma: float) -> Step:
    """Chang et al. (2019), equation for the forward Euler step with diffusion."""
    (b,), (d,) = biases(p, "bias_ih", 1), biases(p, "bias_hh", 1)
    V = p["weight_hh"]
    slope = np.tanh(p["weight_ih"] @ x + b + (V - V.T) @ h - gamma * h + d)
    h = h + epsilon * slope
    return h, (h,)


def GatedAntisymmetricRNNCell(
    p: Params, x: Vector, h: Vector, *, epsilon: float, gamma: float
) -> Step:
    """Chang et al. (2019), with an input gate that shares the recurrent matrix."""
    W_z, W_h = split(p["weight_ih"], 2)
    b_z, b_h = biases(p, "bias_ih", 2)
    (d,) = biases(p, "bias_hh", 1)
    V = p["weight_hh"]
    recurrent = V @ h - V.T @ h - gamma * h + d
    z = sigmoid(W_z @ x + b_z + recurrent)
    h = h + epsilon * z * np.tanh(W_h @ x + b_h + recurrent)
    return h, (h,)
