"""The linear oscillatory state-space model."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def LinOSSCell(
    p: Params,
    x: Vector,
    y_re: Vector,
    y_im: Vector,
    z_re: Vector,
    z_im: Vector,
    *,
    discretization: str,
) -> Step:
    """Rusch and Rus (2025): y'' = -A y + B u, of which z is the velocity y'."""
    B, d, C = (
        real + 1j * imaginary
        for real, imaginary in (
            split(p["weight_ih"], 2),
            biases(p, "bias_ih", 2),
            split(p["weight_out"], 2),
        )
    )
    A, dt = np.maximum(p["weight_a"], 0), sigmoid(p["weight_dt"])
    y, z, force = y_re + 1j * y_im, z_re + 1j * z_im, B @ x + d
    if discretization == "IM":  # the unknowns are the new y and the new z
        one = np.ones_like(dt)
        systems = np.moveaxis(np.array([[one, -dt], [dt * A, one]]), -1, 0)
        known = np.stack([y, z + dt * force], axis=-1)
        y, z = np.linalg.solve(systems, known[..., None])[..., 0].T
    elif discretization == "IMEX":
        z = z + dt * (-A * y + force)
        y = y + dt * z
    else:
        raise ValueError(discretization)
    return np.real(C @ y) + p["weight_skip"] * x, (y.real, y.imag, z.real, z.imag)
