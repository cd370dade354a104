"""The exponential RNN."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases

__all__ = ["rotation"]


def rotation(weight: Vector) -> Vector:
    """exp(A - A^T), A above the diagonal, from the eigenvectors of the Hermitian i (A - A^T)."""
    above = np.triu(weight, 1)
    values, vectors = np.linalg.eigh(1j * (above - above.T))
    return np.asarray(((vectors * np.exp(-1j * values)) @ vectors.conj().T).real)


def ExpRNNCell(p: Params, x: Vector, h: Vector) -> Step:
    """Lezcano-Casado and Martinez-Rubio (2019), with the modReLU of Arjovsky et al. (2016)."""
    (b,), (d,) = biases(p, "bias_ih", 1), biases(p, "bias_hh", 1)
    z = p["weight_ih"] @ x + b + rotation(p["weight_hh"]) @ h + d
    h = np.where(np.abs(z) + p["weight_threshold"] > 0, z + np.sign(z) * p["weight_threshold"], 0)
    return h, (h,)
