"""The liquid-resistance liquid-capacitance unit (Farsang et al., 2025)."""

from typing import Annotated

from torch import Tensor, sigmoid, tanh

from ..cell import BaseRecurrentCell
from ..init import Initializer
from ..layers.named import RecurrentLayer
from ..roles import Function, Gap, Input, MapRole, State, VectorRole, Weight

__all__ = ["LRCU", "LRCUCell"]

Neuron = Annotated[Tensor, VectorRole(Weight("weight_neuron", None, "neuron_"))]
Sensor = Annotated[Tensor, VectorRole(Weight("weight_sensor", None, "sensor_"), "input_size")]
Synapses = Annotated[
    Function,
    MapRole(Weight("weight_synapse", None, "synapse_"), columns="input_size", always_dense=True),
]


class LRCUCell(BaseRecurrentCell, citation="farsang2025scaling", family="ODE"):
    r"""Liquid-resistance liquid-capacitance unit, LRCU [farsang2025scaling]_.

    One Euler step of a model of a neuron: synapses of the input and of the neuron itself set how
    fast it leaks, its resistance, and where to; the pace of both, its capacitance, depends on its
    own state. Use it as in LrcSSM, in deep stacks, for long and irregular signals.

    .. math::
        s_t &= \sigma(\gamma_x \odot (x_t - \mu_x)), \qquad
            r_t = \sigma(\gamma \odot (h_{t-1} - \mu)) \\
        f_t &= \sigma(g + W s_t + w \odot r_t), \qquad u_t = \tanh(g + V s_t + v \odot r_t) \\
        \epsilon_t &= \sigma(\kappa \odot h_{t-1} + \beta) \\
        h_t &= h_{t-1} + \Delta t\; \epsilon_t \odot (e \odot u_t - f_t \odot h_{t-1})

    All letters without a time but :math:`\Delta t` are learned; there are no biases.

    Args:
        dt: time step :math:`\Delta t`, at most 1 for a state that stays bounded.

    Sources: the authors' repository MoniFarsang/LrcSSM, ``experiments/lrc_ssm/LRC_diagmat.py``,
    which draws the sensors' vectors, too, by the number of units. Its symmetric capacitance is not
    included.
    """

    dt: float = 1.0
    neuron_kernel_init: Initializer = "hidden_uniform"
    sensor_kernel_init: Initializer = "hidden_uniform"
    synapse_kernel_init: Initializer = "hidden_uniform"

    @staticmethod
    def step(
        h: State,
        x: Input,
        mu_x: Sensor,
        gamma_x: Sensor,
        W: Synapses,
        V: Synapses,
        mu: Neuron,
        gamma: Neuron,
        w: Neuron,
        v: Neuron,
        g: Neuron,
        e: Neuron,
        kappa: Neuron,
        beta: Neuron,
        dt: Gap,
    ) -> Tensor:
        s, r = sigmoid(gamma_x * (x - mu_x)), sigmoid(gamma * (h - mu))
        f = sigmoid(g + W(s) + w * r)
        u = tanh(g + V(s) + v * r)
        epsilon = sigmoid(kappa * h + beta)
        return h + dt * epsilon * (e * u - f * h)


class LRCU(RecurrentLayer, cell=LRCUCell): ...
