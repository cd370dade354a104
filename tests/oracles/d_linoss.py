"""The damped linear oscillatory state-space model."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def DLinOSSCell(
    p: Params, x: Vector, y_re: Vector, y_im: Vector, z_re: Vector, z_im: Vector
) -> Step:
    """Boyer, Rusch and Rus (2025): y'' = -A y - G y' + B u, of which z is the velocity y'."""
    B, d, C = (
        real + 1j * imaginary
        for real, imaginary in (
            split(p["weight_ih"], 2),
            biases(p, "bias_ih", 2),
            split(p["weight_out"], 2),
        )
    )
    G, dt = np.maximum(p["weight_g"], 0), sigmoid(p["weight_dt"])
    middle, half = 2 + dt * G, 2 * np.sqrt(1 + dt * G)
    A = np.clip(p["weight_a"], (middle - half) / dt**2, (middle + half) / dt**2)
    y, z, one = y_re + 1j * y_im, z_re + 1j * z_im, np.ones_like(dt)
    # the unknowns are the new y and the new z
    systems = np.moveaxis(np.array([[one, -dt], [0 * one, one + dt * G]]), -1, 0)
    known = np.stack([y, z + dt * (-A * y + B @ x + d)], axis=-1)
    y, z = np.linalg.solve(systems, known[..., None])[..., 0].T
    return np.real(C @ y) + p["weight_skip"] * x, (y.real, y.imag, z.real, z.imag)
