"""The liquid time-constant network (Hasani et al., 2021)."""

from typing import Annotated

import torch
from torch import Tensor, sigmoid
from torch.nn.functional import softplus

from ..cell import BaseRecurrentCell
from ..init import Initializer, softplus_uniform, uniform
from ..layers.named import RecurrentLayer
from ..roles import (
    AcrossRole,
    Constant,
    Function,
    Gap,
    Input,
    State,
    TimesRole,
    VectorRole,
    Weight,
)

__all__ = ["LTC", "LTCCell"]

SYNAPSE = Weight("weight_synapse", None, "synapse_")
THRESHOLD = Weight("weight_threshold", None, "threshold_")
SLOPE = Weight("weight_slope", None, "slope_")
REVERSAL = Weight("weight_reversal", None, "reversal_")

Strengths = Annotated[Tensor, VectorRole(SYNAPSE, "synapses")]
Thresholds = Annotated[Tensor, VectorRole(THRESHOLD, "synapses")]
Slopes = Annotated[Tensor, VectorRole(SLOPE, "synapses")]
Reversals = Annotated[Tensor, VectorRole(REVERSAL, "synapses")]
SensorStrengths = Annotated[Tensor, VectorRole(SYNAPSE, "sensors")]
SensorThresholds = Annotated[Tensor, VectorRole(THRESHOLD, "sensors")]
SensorSlopes = Annotated[Tensor, VectorRole(SLOPE, "sensors")]
SensorReversals = Annotated[Tensor, VectorRole(REVERSAL, "sensors")]
Leak = Annotated[Tensor, VectorRole(Weight("weight_leak", None, "leak_"))]
Rest = Annotated[Tensor, VectorRole(Weight("weight_rest", None, "rest_"))]
Capacitance = Annotated[Tensor, VectorRole(Weight("weight_capacitance", None, "capacitance_"))]
#: A number of each unit, or of each input, for its synapses to all units.
Rows = Annotated[Function, AcrossRole("repeated", "synapses", r"\mathrm{rows}")]
SensorRows = Annotated[Function, AcrossRole("repeated", "sensors", r"\mathrm{sensors}")]
#: The sum over the synapses of each unit.
Sum = Annotated[Function, AcrossRole("folded", "hidden_size", r"\mathrm{sum}")]
Unfolds = Annotated[range, TimesRole("ode_unfolds")]


def polarity_(reversals: Tensor) -> Tensor:
    """Fill with 1, two of three, and -1: synapses that excite, and those that inhibit."""
    return reversals.copy_(
        1 - 2 * (torch.rand_like(reversals, dtype=torch.float32) < 1 / 3).float()
    )


class LTCCell(BaseRecurrentCell, citation="hasani2021liquid", family="ODE"):
    r"""Liquid time-constant network, LTC [hasani2021liquid]_.

    Units are neurons with a leak, joined by synapses: what a neuron or an input does to another
    sets both where that one tends to and how fast, so that time constants depend on the input. Use
    it for control and physical signals with few units, as a step costs H times as much as others'.

    .. math::
        s_t &= \mathrm{softplus}(w_x) \odot \sigma(\gamma_x \odot (\mathrm{rows}(x_t) - \mu_x)) \\
        r_{k,t} &= \mathrm{softplus}(w) \odot
            \sigma(\gamma \odot (\mathrm{rows}(v_{k-1,t}) - \mu)) \\
        p_{k,t} &= \mathrm{softplus}(g) \odot l
            + \mathrm{sum}(E_x \odot s_t) + \mathrm{sum}(E \odot r_{k,t}) \\
        q_{k,t} &= \mathrm{softplus}(g) + \mathrm{sum}(s_t) + \mathrm{sum}(r_{k,t}) \\
        v_{k,t} &= \frac{\mathrm{softplus}(C) \odot v_{k-1,t} + p_{k,t} \Delta t / n}
            {\mathrm{softplus}(C) + q_{k,t} \Delta t / n}

    for k from 1 to n, where :math:`v_{0,t} = v_{t-1}` and :math:`v_t = v_{n,t}`. The synapses of
    the units, :math:`w, \gamma, \mu` and E, and those of the inputs, :math:`w_x, \gamma_x, \mu_x`
    and :math:`E_x`, are matrices, in the parameters row by row, with a row for where a synapse
    comes from and a column for where it goes to. rows(v) has as many columns, all equal to v, and
    sum adds up the rows. A neuron has a leak g, a resting potential l and a capacitance C.

    Its state stays between the smallest and the largest of the first state, l and all E. Synapses
    are no kernels: ``recurrence`` and ``num_heads`` change nothing.

    Args:
        ode_unfolds: n, the number of semi-implicit Euler steps of a time step.

    Sources: the authors' repository mlech26l/ncps, ``ncps/torch/ltc_cell.py``, with the
    initialisation of ``FullyConnected`` in ``ncps/wirings/wirings.py``. Strengths, leaks and
    capacitances are kept positive by softplus, there an option; by default they are clipped after
    a step of the optimiser, which a cell can't see. Here they begin as clipped ones do there.
    Sparse wirings are not included; nor are the affine maps of each input, which thresholds and
    slopes can express, and of each output, for which a linear layer may follow.
    """

    dt: float = 1.0
    ode_unfolds: int = 6
    synapse_kernel_init: Initializer = softplus_uniform(0.001, 1.0)
    threshold_kernel_init: Initializer = uniform(0.3, 0.8)
    slope_kernel_init: Initializer = uniform(3.0, 8.0)
    reversal_kernel_init: Initializer = polarity_
    leak_kernel_init: Initializer = softplus_uniform(0.001, 1.0)
    rest_kernel_init: Initializer = uniform(-0.2, 0.2)
    capacitance_kernel_init: Initializer = softplus_uniform(0.4, 0.6)

    @staticmethod
    def step(
        v: State,
        x: Input,
        w_x: SensorStrengths,
        mu_x: SensorThresholds,
        gamma_x: SensorSlopes,
        E_x: SensorReversals,
        w: Strengths,
        mu: Thresholds,
        gamma: Slopes,
        E: Reversals,
        g: Leak,
        l: Rest,
        C: Capacitance,
        sensors: SensorRows,
        rows: Rows,
        total: Sum,
        unfolds: Unfolds,
        dt: Gap,
        n: Constant,
    ) -> Tensor:
        s = softplus(w_x) * sigmoid(gamma_x * (sensors(x) - mu_x))
        p_s = softplus(g) * l + total(E_x * s)
        q_s = softplus(g) + total(s)
        for _ in unfolds:
            r = softplus(w) * sigmoid(gamma * (rows(v) - mu))
            p, q = p_s + total(E * r), q_s + total(r)
            v = (softplus(C) * v + p * dt / n) / (softplus(C) + q * dt / n)
        return v

    @property
    def n(self) -> float:
        """``ode_unfolds``, as a number that the step computes with."""
        return float(self.ode_unfolds)

    @property
    def synapses(self) -> int:
        """How many synapses the units have with each other."""
        return self.hidden_size * self.hidden_size

    @property
    def sensors(self) -> int:
        """How many synapses go from the input to units."""
        return self.input_size * self.hidden_size

    def check_options(self) -> None:
        super().check_options()
        if not self.dt > 0:
            raise ValueError(f"dt should be greater than zero, got {self.dt}")


class LTC(RecurrentLayer, cell=LTCCell): ...
