"""The liquid time-constant network."""

from __future__ import annotations

import numpy as np

from .mathematics import Params, Step, Vector, sigmoid, softplus


def LTCCell(p: Params, x: Vector, v: Vector, *, dt: float, ode_unfolds: int = 6) -> Step:
    """Hasani et al. (2021), algorithm 1 with conductance-based synapses, one neuron at a time.

    The membrane equation C v' = g (l - v) + sum of w(u) (E - v), its right side at the new v.
    """
    units, inputs = len(v), len(x)

    def synapses(name: str) -> tuple[Vector, Vector]:
        of_inputs, of_units = np.split(p[name], [inputs * units])
        return of_inputs.reshape(inputs, units), of_units.reshape(units, units)

    w_x, w = (softplus(each) for each in synapses("weight_synapse"))
    (mu_x, mu), (gamma_x, gamma) = synapses("weight_threshold"), synapses("weight_slope")
    E_x, E = synapses("weight_reversal")
    g, rest, capacitance = softplus(p["weight_leak"]), p["weight_rest"], p["weight_capacitance"]
    C, h = softplus(capacitance), dt / ode_unfolds
    for _ in range(ode_unfolds):
        new = v.copy()
        for i in range(units):
            conductance, current = g[i], g[i] * rest[i]
            for j in range(inputs):
                opened = w_x[j, i] * sigmoid(gamma_x[j, i] * (x[j] - mu_x[j, i]))
                conductance, current = conductance + opened, current + opened * E_x[j, i]
            for j in range(units):
                opened = w[j, i] * sigmoid(gamma[j, i] * (v[j] - mu[j, i]))
                conductance, current = conductance + opened, current + opened * E[j, i]
            # C (new - v) / h = current - conductance * new
            new[i] = (C[i] * v[i] / h + current) / (C[i] / h + conductance)
        v = new
    return v, (v,)
