"""The LSTM of ordered neurons."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, sigmoid, softmax


def ONLSTMCell(p: Params, x: Vector, h: Vector, c: Vector) -> Step:
    """Shen et al. (2019), equations 9 to 14; a master gate has a number for each chunk."""
    gates = p["weight_ih"] @ x + p["weight_hh"] @ h
    gates = gates + p.get("bias_ih", 0) + p.get("bias_hh", 0)
    chunks = (len(gates) - 4 * len(h)) // 2
    size = len(h) // chunks
    master_i = np.repeat(1 - np.cumsum(softmax(gates[:chunks])), size)
    master_f = np.repeat(np.cumsum(softmax(gates[chunks : 2 * chunks])), size)
    o, g, i, f = np.split(gates[2 * chunks :], 4)
    both = master_f * master_i
    forget = sigmoid(f) * both + (master_f - both)
    write = sigmoid(i) * both + (master_i - both)
    c = forget * c + write * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    return h, (h, c)
