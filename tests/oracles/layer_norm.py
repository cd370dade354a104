"""Networks with layer normalisation."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, sigmoid, split


def ln(z: Vector, epsilon: float) -> Vector:
    return np.asarray((z - z.mean()) / np.sqrt(z.var() + epsilon))


def bias(p: Params, size: int) -> Vector:
    return np.asarray(p.get("bias_ih", np.zeros(size)) + p.get("bias_hh", np.zeros(size)))


def LayerNormRNNCell(p: Params, x: Vector, h: Vector, *, layer_norm_eps: float) -> Step:
    """Ba et al. (2016), equation 4."""
    a = p["weight_ih"] @ x + p["weight_hh"] @ h
    h = np.tanh(p["weight_gain"] * ln(a, layer_norm_eps) + bias(p, len(h)))
    return h, (h,)


def LayerNormGRUCell(p: Params, x: Vector, h: Vector, *, layer_norm_eps: float) -> Step:
    """Ba et al. (2016), with the two gates normalised as one vector, the candidate apart."""
    H, eps = len(h), layer_norm_eps
    gain_x, gain_h = p["ln_gamma_ih"], p["ln_gamma_hh"]
    b_gates, b_n = np.split(bias(p, 3 * H), [2 * H])
    Wx, Uh = p["weight_ih"] @ x, p["weight_hh"] @ h
    gates = gain_x[: 2 * H] * ln(Wx[: 2 * H], eps) + gain_h[: 2 * H] * ln(Uh[: 2 * H], eps)
    r, z = split(sigmoid(gates + b_gates), 2)
    seen = gain_h[2 * H :] * ln(Uh[2 * H :], eps) + p["weight_shift"]
    n = np.tanh(gain_x[2 * H :] * ln(Wx[2 * H :], eps) + b_n + r * seen)
    h = z * h + (1 - z) * n
    return h, (h,)


def LayerNormLSTMCell(p: Params, x: Vector, h: Vector, c: Vector, *, layer_norm_eps: float) -> Step:
    """Ba et al. (2016), equations 20 to 22: one norm over the arguments of all four gates."""
    H, eps = len(h), layer_norm_eps
    gain_x, gain_h, gain_c = p["ln_gamma_ih"], p["ln_gamma_hh"], p["weight_gain"]
    a = gain_h * ln(p["weight_hh"] @ h, eps) + gain_x * ln(p["weight_ih"] @ x, eps)
    i, f, g, o = split(a + bias(p, 4 * H), 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(gain_c * ln(c, eps) + p["weight_shift"])
    return h, (h, c)
