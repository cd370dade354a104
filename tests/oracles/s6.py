"""The selective state-space model of Mamba."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, softplus


def S6Cell(p: Params, x: Vector, H: Vector) -> Step:
    """Gu and Dao (2023), algorithm 2, each value of the input and each of its states by itself."""
    size = len(H) // len(x)
    both = p["weight_ih"] @ x + p.get("bias_ih", 0)
    rank = len(both) - 2 * size
    narrow, write, read = both[:rank], both[rank : rank + size], both[rank + size :]
    pace = softplus(p["weight_dt"] @ narrow + p.get("bias_dt", 0))
    rates = -np.exp(p["weight_a"]).reshape(size, len(x))
    state = H.reshape(size, len(x)).copy()
    y = p["weight_skip"] * x
    for d in range(len(x)):
        for n in range(size):
            kept = np.exp(pace[d] * rates[n, d])
            state[n, d] = kept * state[n, d] + pace[d] * write[n] * x[d]
            y[d] += read[n] * state[n, d]
    return y, (state.ravel(),)
