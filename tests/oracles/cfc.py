"""The closed-form continuous-time network."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, biases, sigmoid, split


def CfCCell(p: Params, x: Vector, h: Vector, *, dt: float, backbone_layers: int) -> Step:
    """Hasani et al. (2022), with the time gate of their code, affine in the elapsed time."""
    further = backbone_layers - 1
    deep = split(p["weight_backbone"], further) if further else []
    deep_bias = biases(p, "bias_backbone", further) if further else []
    (b,), (d,) = biases(p, "bias_ih", 1), biases(p, "bias_hh", 1)
    k = 1.7159 * np.tanh(0.666 * (p["weight_ih"] @ x + b + p["weight_hh"] @ h + d))
    for W, w in zip(deep, deep_bias, strict=True):
        k = 1.7159 * np.tanh(0.666 * (W @ k + w))
    heads = zip(split(p["weight_head"], 4), biases(p, "bias_head", 4), strict=True)
    f, g, slope, offset = (W @ k + w for W, w in heads)
    t = sigmoid(slope * dt + offset)
    h = np.tanh(f) * (1 - t) + t * np.tanh(g)
    return h, (h,)
