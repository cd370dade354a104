"""Mutations of the GRU."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def MUT1Cell(p: Params, x: Vector, h: Vector) -> Step:
    """Jozefowicz, Zaremba and Sutskever (2015), MUT1, its tanh(x) of a projected x."""
    W_z, W_r, W_x = split(p["weight_ih"], 3)
    U_r, U_h = split(p["weight_hh"], 2)
    b_z, b_r, b_x = biases(p, "bias_ih", 3)
    d_r, b_h = biases(p, "bias_hh", 2)
    z = sigmoid(W_z @ x + b_z)
    r = sigmoid(W_r @ x + b_r + U_r @ h + d_r)
    h = np.tanh(U_h @ (r * h) + np.tanh(W_x @ x + b_x) + b_h) * z + h * (1 - z)
    return h, (h,)


def MUT2Cell(p: Params, x: Vector, h: Vector) -> Step:
    """Jozefowicz, Zaremba and Sutskever (2015), MUT2, its r of a projected x."""
    W_z, W_x, W_h = split(p["weight_ih"], 3)
    U_z, U_r, U_h = split(p["weight_hh"], 3)
    b_z, b_x, b_h = biases(p, "bias_ih", 3)
    d_z, d_r, d_h = biases(p, "bias_hh", 3)
    z = sigmoid(W_z @ x + b_z + U_z @ h + d_z)
    r = sigmoid(W_x @ x + b_x + U_r @ h + d_r)
    h = np.tanh(U_h @ (r * h) + d_h + W_h @ x + b_h) * z + h * (1 - z)
    return h, (h,)


def MUT3Cell(p: Params, x: Vector, h: Vector) -> Step:
    """Jozefowicz, Zaremba and Sutskever (2015), MUT3."""
    W_z, W_r, W_h = split(p["weight_ih"], 3)
    U_z, U_r, U_h = split(p["weight_hh"], 3)
    b_z, b_r, b_h = biases(p, "bias_ih", 3)
    d_z, d_r, d_h = biases(p, "bias_hh", 3)
    z = sigmoid(W_z @ x + b_z + U_z @ np.tanh(h) + d_z)
    r = sigmoid(W_r @ x + b_r + U_r @ h + d_r)
    h = np.tanh(U_h @ (r * h) + d_h + W_h @ x + b_h) * z + h * (1 - z)
    return h, (h,)
