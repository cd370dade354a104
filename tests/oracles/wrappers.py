"""Cells made of cells, in terms of the oracles of what they are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .mathematics import Params, Step, Vector

#: What is left of an oracle when its parameters are given: the input, then the states.
Bound = Callable[..., Step]


def multiplicative(inner: Bound, p: Params, x: Vector, h: Vector, *rest: Vector) -> Step:
    """Sutskever et al. (2011), with any cell: it finds the product where its state was."""
    m = (p["weight_mx"] @ x) * (p["weight_mh"] @ h)
    return inner(x, m, *rest)


def fast_slow(fast: Sequence[Bound], slow: Bound, x: Vector, *states: Vector, split: int) -> Step:
    """Mujika et al. (2017); the first ``split`` states are the fast ones."""
    f, s = states[:split], states[split:]
    y, f = fast[0](x, *f)
    y, s = slow(y, *s)
    y, f = fast[1](y, *f)
    for cell in fast[2:]:
        y, f = cell(np.zeros(1), *f)
    return y, (*f, *s)
