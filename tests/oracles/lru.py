"""The linear recurrent unit."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, split


def LRUCell(p: Params, x: Vector, re: Vector, im: Vector) -> Step:
    """Orvieto et al. (2023), the pseudo-code of their appendix, in complex numbers."""
    B, d, C = (
        real + 1j * imaginary
        for real, imaginary in (
            split(p["weight_ih"], 2),
            biases(p, "bias_ih", 2),
            split(p["weight_out"], 2),
        )
    )
    eigenvalues = np.exp(-np.exp(p["weight_nu"]) + 1j * np.exp(p["weight_theta"]))
    h = eigenvalues * (re + 1j * im) + np.exp(p["weight_gamma"]) * (B @ x + d)
    return np.real(C @ h) + p["weight_skip"] * x, (h.real, h.imag)
