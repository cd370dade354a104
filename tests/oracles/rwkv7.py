"""The time mixing of RWKV-7."""

from __future__ import annotations

import numpy as np

from .heads import group_norm, joined, keys, matrices, values
from .mathematics import Params, Step, Vector, biases, sigmoid, split


def RWKV7Cell(p: Params, x: Vector, S: Vector, before: Vector) -> Step:
    """Peng et al. (2025), with S as there: a row for each number of a value."""
    mixes = [x + mu * (before - x) for mu in split(p["weight_mix"], 6)]
    kernels, shifts = split(p["weight_ih"], 3), biases(p, "bias_ih", 3)
    r, k, v = (W @ mix + b for W, mix, b in zip(kernels, mixes[:3], shifts, strict=True))
    width, decay_rank = p["weight_decay"].shape
    rate_rank = p["weight_rate"].shape[1]
    down_w, down_a, down_g = np.split(p["weight_down"], [decay_rank, decay_rank + rate_rank])
    d = p["weight_decay"] @ np.tanh(down_w @ mixes[3]) + p["bias_decay"]
    w = np.exp(-np.exp(-0.5) * sigmoid(d))
    a = sigmoid(p["weight_rate"] @ (down_a @ mixes[4]) + p["bias_rate"])
    g = p["weight_gate"] @ sigmoid(down_g @ mixes[5])
    xi, alpha = split(p["weight_key"], 2)
    kappa, replacing = xi * k, k * (1 + alpha * (a - 1))
    heads = width * width // len(S)
    found, o, bonus = [], np.zeros(width), np.zeros(width)
    for head in range(heads):
        value, old = values(v, heads)[head], matrices(S, width, heads)[head].T
        removed, rate = keys(kappa, heads)[head], keys(a, heads)[head]
        removed = removed / np.sqrt(removed @ removed + 1e-12)
        decay = np.diag(keys(w, heads)[head])
        key, query = keys(replacing, heads)[head], keys(r, heads)[head]
        new = old @ (decay - np.outer(removed, rate * removed)) + np.outer(value, key)
        values(o, heads)[head][:] = new @ query
        values(bonus, heads)[head][:] = (query * keys(p["weight_bonus"], heads)[head]) @ key * value
        found.append(new.T)
    gain, shift = split(p["weight_norm"], 2)
    normed = gain * group_norm(o, heads, 64e-5) + shift
    return p["weight_out"] @ (g * (normed + bonus)), (joined(found), x)
