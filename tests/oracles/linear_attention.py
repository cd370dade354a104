"""Linear attention with a forget gate, with the delta rule, and with both."""

from __future__ import annotations

import numpy as np

from .heads import joined, keys, matrices, values
from .mathematics import Params, Step, Vector, sigmoid, silu, softplus


def GLACell(p: Params, x: Vector, S: Vector, *, tau: float) -> Step:
    """Yang et al. (2024), equation 3 and section 4.4; the number of heads is that of S's width."""
    z = p["weight_ih"] @ x + p.get("bias_ih", 0)
    width, rank = p["weight_gate"].shape
    heads = width * width // len(S)
    q, k, v = np.split(z[: 3 * width], 3)
    assert len(z) == 3 * width + rank
    alpha = sigmoid(p["weight_gate"] @ z[3 * width :] + p.get("bias_gate", 0)) ** (1 / tau)
    found, y = [], np.zeros(width)
    for head in range(heads):
        key, query = keys(k, heads)[head], keys(q, heads)[head]
        decay = np.diag(keys(alpha, heads)[head])
        new = decay @ matrices(S, width, heads)[head] + np.outer(key, values(v, heads)[head])
        values(y, heads)[head][:] = query @ new / np.sqrt(len(key))
        found.append(new)
    return y, (joined(found),)


def DeltaNetCell(p: Params, x: Vector, S: Vector) -> Step:
    """Yang et al. (2024), equation 2 and section 3.3: S (I - beta k k^T) + beta v k^T."""
    z = p["weight_ih"] @ x + p.get("bias_ih", 0)
    # S has width^2 / heads numbers, z three times the width and one a head
    heads = next(n for n in range(1, len(z)) if ((len(z) - n) // 3) ** 2 == n * len(S))
    width = (len(z) - heads) // 3
    q, k, v = np.split(silu(z[: 3 * width]), 3)
    beta = sigmoid(z[3 * width :])
    found, y = [], np.zeros(width)
    for head in range(heads):
        key, query = keys(k, heads)[head], keys(q, heads)[head]
        key = key / np.sqrt(key @ key + 1e-6)
        query = query / np.sqrt(query @ query + 1e-6) / np.sqrt(len(query))
        value, old = values(v, heads)[head], matrices(S, width, heads)[head].T
        new = old @ (np.eye(len(key)) - beta[head] * np.outer(key, key))
        new = new + beta[head] * np.outer(value, key)
        values(y, heads)[head][:] = new @ query
        found.append(new.T)
    return y, (joined(found),)


def GatedDeltaNetCell(p: Params, x: Vector, S: Vector) -> Step:
    """Yang et al. (2025), equation 10: S alpha (I - beta k k^T) + beta v k^T."""
    z = p["weight_ih"] @ x + p.get("bias_ih", 0)
    heads = len(p["weight_a"])
    width = (len(z) - 2 * heads) // 3
    q, k, v = np.split(silu(z[: 3 * width]), 3)
    a, b = np.split(z[3 * width :], 2)
    alpha, beta = np.exp(-np.exp(p["weight_a"]) * softplus(a)), sigmoid(b)
    found, y = [], np.zeros(width)
    for head in range(heads):
        key, query = keys(k, heads)[head], keys(q, heads)[head]
        key = key / np.sqrt(key @ key + 1e-6)
        query = query / np.sqrt(query @ query + 1e-6) / np.sqrt(len(query))
        value, old = values(v, heads)[head], matrices(S, width, heads)[head].T
        new = alpha[head] * old @ (np.eye(len(key)) - beta[head] * np.outer(key, key))
        new = new + beta[head] * np.outer(value, key)
        values(y, heads)[head][:] = new @ query
        found.append(new.T)
    return y, (joined(found),)
