"""The time mixing of RWKV-6."""

from __future__ import annotations

import numpy as np

from .heads import group_norm, joined, keys, matrices, values
from .mathematics import Params, Step, Vector, biases, silu, split


def RWKV6Cell(p: Params, x: Vector, S: Vector, before: Vector) -> Step:
    """Peng et al. (2024), Finch, the lerp that depends on the data in full."""

    def lerp(a: Vector, b: Vector, mu: Vector) -> Vector:
        return a + (b - a) * mu

    z = lerp(x, before, p["weight_shift"])
    downs, ups = split(p["weight_mix_down"], 5), split(p["weight_mix"], 5)
    mixes = [
        lerp(x, before, up @ np.tanh(down @ z) + bias)
        for down, up, bias in zip(downs, ups, split(p["bias_mix"], 5), strict=True)
    ]
    kernels, shifts = split(p["weight_ih"], 4), biases(p, "bias_ih", 4)
    k, v, r, g = (W @ mix + b for W, mix, b in zip(kernels, mixes, shifts, strict=False))
    d = p["weight_decay"] @ np.tanh(p["weight_decay_down"] @ mixes[4]) + p["bias_decay"]
    w, width = np.exp(-np.exp(d)), len(v)
    heads = width * width // len(S)
    found, o = [], np.zeros(width)
    for head in range(heads):
        key, value, old = (
            keys(k, heads)[head],
            values(v, heads)[head],
            matrices(S, width, heads)[head],
        )
        now = np.outer(key, value)
        bonus = np.diag(keys(p["weight_bonus"], heads)[head])
        values(o, heads)[head][:] = keys(r, heads)[head] @ (bonus @ now + old)
        found.append(np.diag(keys(w, heads)[head]) @ old + now)
    gain, shift = split(p["weight_norm"], 2)
    normed = gain * group_norm(o, heads, 64e-5) + shift
    return p["weight_out"] @ (silu(g) * normed), (joined(found), x)
