"""Hierarchically gated recurrent networks."""

from __future__ import annotations

import numpy as np

from .heads import joined, keys, matrices, values
from .mathematics import Params, Step, Vector, biases, sigmoid, silu, split


def HGRNCell(p: Params, x: Vector, re: Vector, im: Vector, *, gamma: float) -> Step:
    """Qin et al. (2023), in complex numbers."""
    W_re, W_im, W_mu, G_re, G_im = split(p["weight_ih"], 5)
    b_re, b_im, b_mu, a_re, a_im = biases(p, "bias_ih", 5)
    forget = gamma + (1 - gamma) * sigmoid(W_mu @ x + b_mu)
    c = silu(W_re @ x + b_re) + 1j * silu(W_im @ x + b_im)
    h = forget * np.exp(1j * p["weight_theta"]) * (re + 1j * im) + (1 - forget) * c
    gates = sigmoid(np.concatenate([G_re @ x + a_re, G_im @ x + a_im]))
    shown = gates * np.concatenate([h.real, h.imag])
    C_re, C_im = split(p["weight_out"], 2)
    return np.hstack([C_re, -C_im]) @ shown, (h.real, h.imag)


def HGRN2Cell(p: Params, x: Vector, S: Vector, *, gamma: float) -> Step:
    """Qin et al. (2024), section 3.2: Diag(g) H + (1 - g) i^T."""
    q, f, i = np.split(p["weight_ih"] @ x + p.get("bias_ih", 0), 3)
    heads = len(f) ** 2 // len(S)
    gate, read = gamma + (1 - gamma) * sigmoid(f), silu(q)
    found, y = [], np.zeros(len(f))
    for head in range(heads):
        forget = keys(gate, heads)[head]
        new = np.diag(forget) @ matrices(S, len(f), heads)[head]
        new = new + np.outer(1 - forget, values(i, heads)[head])
        values(y, heads)[head][:] = keys(read, heads)[head] @ new
        found.append(new)
    return y, (joined(found),)
