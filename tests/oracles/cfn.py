"""The chaos-free network."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def CFNCell(p: Params, x: Vector, h: Vector) -> Step:
    """Laurent and von Brecht (2017); the bias of the candidate is not theirs."""
    W_theta, W_eta, W = split(p["weight_ih"], 3)
    U_theta, U_eta = split(p["weight_hh"], 2)
    b_theta, b_eta, b = biases(p, "bias_ih", 3)
    d_theta, d_eta = biases(p, "bias_hh", 2)
    theta = sigmoid(U_theta @ h + d_theta + W_theta @ x + b_theta)
    eta = sigmoid(U_eta @ h + d_eta + W_eta @ x + b_eta)
    h = theta * np.tanh(h) + eta * np.tanh(W @ x + b)
    return h, (h,)
