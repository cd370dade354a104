"""The LSTMs of xLSTM."""

from __future__ import annotations

import numpy as np

from .heads import joined, keys, matrices, values
from .mathematics import Params, Step, Vector, biases, log_sigmoid, sigmoid, split


def by_blocks(R: Vector, h: Vector) -> Vector:
    """The product with a block-diagonal matrix, whose blocks lie below each other in R."""
    blocks = len(h) // R.shape[1]
    return np.concatenate([A @ a for A, a in zip(split(R, blocks), split(h, blocks), strict=True)])


def sLSTMCell(p: Params, x: Vector, h: Vector, c: Vector, n: Vector, m: Vector) -> Step:
    """Beck et al. (2024), section 2.2, with the sigmoid forget gate and the stabiliser m."""
    W_i, W_f, W_z, W_o = split(p["weight_ih"], 4)
    R_i, R_f, R_z, R_o = split(p["weight_hh"], 4)
    b_i, b_f, b_z, b_o = biases(p, "bias_ih", 4)
    d_i, d_f, d_z, d_o = biases(p, "bias_hh", 4)
    log_i = W_i @ x + b_i + by_blocks(R_i, h) + d_i
    log_f = log_sigmoid(W_f @ x + b_f + by_blocks(R_f, h) + d_f)
    z = np.tanh(W_z @ x + b_z + by_blocks(R_z, h) + d_z)
    o = sigmoid(W_o @ x + b_o + by_blocks(R_o, h) + d_o)
    # a unit that has stored nothing has no scale to keep
    stabiliser = np.where(n == 0, log_i, np.maximum(log_f + m, log_i))
    i, f = np.exp(log_i - stabiliser), np.exp(log_f + m - stabiliser)
    c = f * c + i * z
    n = f * n + i
    h = o * (c / n)
    return h, (h, c, n, stabiliser)


def mLSTMCell(p: Params, x: Vector, C: Vector, n: Vector, m: Vector, *, epsilon: float) -> Step:
    """Beck et al. (2024), equations 19 to 27, with the stabiliser of their appendix."""
    heads, width = len(m), len(n)
    z = p["weight_ih"] @ x + p.get("bias_ih", 0)
    q, k, v, o = np.split(z[: 4 * width], 4)
    i, f = np.split(z[4 * width :], 2)
    log_f = np.log(sigmoid(f))
    new_m = np.maximum(log_f + m, i)
    h = np.zeros(width)
    cells, sums = [], np.zeros(width)
    for head in range(heads):
        write = np.exp(i[head] - new_m[head])
        keep = np.exp(log_f[head] + m[head] - new_m[head])
        key = keys(k, heads)[head] / np.sqrt(width // heads)
        value, query = values(v, heads)[head], keys(q, heads)[head]
        cell = keep * matrices(C, width, heads)[head] + write * np.outer(key, value)
        normal = keep * keys(n, heads)[head] + write * key
        below = max(abs(normal @ query), np.exp(-new_m[head])) + epsilon
        values(h, heads)[head][:] = cell.T @ query / below
        cells.append(cell)
        sums[head::heads] = normal
    return sigmoid(o) * h, (joined(cells), sums, new_m)
