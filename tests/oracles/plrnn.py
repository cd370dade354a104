"""The piecewise-linear recurrent network."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases


def PLRNNCell(p: Params, x: Vector, z: Vector) -> Step:
    """Koppe et al. (2019): a unit is connected to itself by A alone."""
    (h,) = biases(p, "bias_ih", 1)
    W = p["weight_hh"] - np.diag(np.diag(p["weight_hh"]))
    z = np.diag(p["weight_a"]) @ z + W @ np.maximum(z, 0) + h + p["weight_ih"] @ x
    return z, (z,)
