"""The liquid-resistance liquid-capacitance unit."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, sigmoid, split


def LRCUCell(p: Params, x: Vector, h: Vector, *, dt: float) -> Step:
    """Farsang et al. (2025): v' = (-sigma(f) v + e_leak tanh(g)) elastance."""
    mu_x, sigma_x = split(p["weight_sensor"], 2)
    W, V = split(p["weight_synapse"], 2)
    mu, sigma, w, v, leak, e_leak, kernel, bias = split(p["weight_neuron"], 8)
    sensory, own = sigmoid(sigma_x * (x - mu_x)), sigmoid(sigma * (h - mu))
    conductance = sigmoid(leak + W @ sensory + w * own)
    reversal = e_leak * np.tanh(leak + V @ sensory + v * own)
    h = h + sigmoid(kernel * h + bias) * dt * (reversal - conductance * h)
    return h, (h,)
