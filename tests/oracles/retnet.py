"""Multi-scale retention, of RetNet."""

from __future__ import annotations

import numpy as np

from .heads import group_norm, joined, keys, matrices, values
from .mathematics import Params, Step, Vector, silu, split


def RetNetCell(p: Params, x: Vector, S_re: Vector, S_im: Vector) -> Step:
    """Sun et al. (2023), with complex keys, as before it is written with rotations."""
    q_re, q_im, k_re, k_im, v, g = split(p["weight_ih"] @ x + p.get("bias_ih", 0), 6)
    q, k, heads, width = q_re + 1j * q_im, k_re + 1j * k_im, len(p["weight_decay"]), len(v)
    found, o = [], np.zeros(width)
    for head in range(heads):
        gamma = 1 - np.exp(-p["weight_decay"][head])
        turn = np.diag(gamma * np.exp(1j * keys(p["weight_theta"], heads)[head]))
        old = matrices(S_re, width, heads)[head] + 1j * matrices(S_im, width, heads)[head]
        key, query = keys(k, heads)[head], keys(q, heads)[head]
        new = turn @ old + np.outer(key.conj(), values(v, heads)[head])
        values(o, heads)[head][:] = (query @ new).real / np.sqrt(2 * len(key))
        found.append(new)
    y = p["weight_out"] @ (silu(g) * group_norm(o, heads, 1e-6))
    return y, (joined([each.real for each in found]), joined([each.imag for each in found]))
