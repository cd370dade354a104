"""The simplified structured state-space model."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, split


def S5Cell(p: Params, x: Vector, re: Vector, im: Vector) -> Step:
    """Smith et al. (2023): zero-order hold, one of each pair of conjugate states."""
    B, d, C = (
        real + 1j * imaginary
        for real, imaginary in (
            split(p["weight_ih"], 2),
            biases(p, "bias_ih", 2),
            split(p["weight_out"], 2),
        )
    )
    Lambda = np.minimum(p["weight_re"], -1e-4) + 1j * p["weight_im"]
    held = np.exp(Lambda * np.exp(p["weight_dt"]))
    h = held * (re + 1j * im) + (held - 1) / Lambda * (B @ x + d)
    pairs = np.concatenate([h, h.conj()])
    y = np.hstack([C, C.conj()]) @ pairs
    assert np.abs(y.imag).max() < 1e-12  # the conjugates cancel it
    return y.real + p["weight_skip"] * x, (h.real, h.imag)
