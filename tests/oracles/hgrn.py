"""The hierarchically gated recurrent network."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def HGRNCell(p: Params, x: Vector, re: Vector, im: Vector, *, gamma: float) -> Step:
    """Qin et al. (2023), in complex numbers."""
    W_re, W_im, W_mu, G_re, G_im = split(p["weight_ih"], 5)
    b_re, b_im, b_mu, a_re, a_im = biases(p, "bias_ih", 5)
    forget = gamma + (1 - gamma) * sigmoid(W_mu @ x + b_mu)
    c = _silu(W_re @ x + b_re) + 1j * _silu(W_im @ x + b_im)
    h = forget * np.exp(1j * p["weight_theta"]) * (re + 1j * im) + (1 - forget) * c
    gates = sigmoid(np.concatenate([G_re @ x + a_re, G_im @ x + a_im]))
    shown = gates * np.concatenate([h.real, h.imag])
    C_re, C_im = split(p["weight_out"], 2)
    return np.hstack([C_re, -C_im]) @ shown, (h.real, h.imag)


def _silu(a: Vector) -> Vector:
    return np.asarray(a * sigmoid(a))
