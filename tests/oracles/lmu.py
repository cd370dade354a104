"""The Legendre memory unit."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases


def LMUCell(p: Params, x: Vector, h: Vector, m: Vector) -> Step:
    """Voelker et al. (2019), equations 5 to 7: the encoders, the memory, the hidden state."""
    u = p["weight_xu"] @ x + p["weight_hu"] @ h + p["weight_mu"] @ m
    m = p["weight_mm"] @ m + p["weight_um"] @ u
    (b,), (d,) = biases(p, "bias_ih", 1), biases(p, "bias_hh", 1)
    h = np.tanh(p["weight_ih"] @ x + b + p["weight_hh"] @ h + d + p["weight_mh"] @ m)
    return h, (h, m)
