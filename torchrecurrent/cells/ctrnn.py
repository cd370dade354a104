"""The continuous-time recurrent network (Funahashi and Nakamura, 1993)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from ..activations import Activation
from ..cell import BaseRecurrentCell
from ..init import Initializer
from ..named_layer import RecurrentLayer
from ..roles import Constant, Gate, Nonlinearity, State

__all__ = ["CTRNN", "CTRNNCell"]


class CTRNNCell(BaseRecurrentCell):
    r"""Continuous-time recurrent cell [funahashi1993approximation]_.

    An Euler step of leaky integrators, the network of computational neuroscience: every unit
    is a low-pass filter with the time constant :math:`\tau`. Use it to model neural data, or
    as the simplest network that has a notion of time.

    .. math::
        h_t = h_{t-1} + \frac{\Delta t}{\tau}
            (-h_{t-1} + \phi(W x_t + b + U h_{t-1} + d))

    Args:
        dt: time step :math:`\Delta t`, in the units of ``tau``, such as milliseconds.
        tau: time constant :math:`\tau`; with ``tau`` = ``dt`` this is a simple network.
        nonlinearity: :math:`\phi`.

    Initialisation: as torch's linear maps, which the tutorial takes: W from
    :math:`U(\pm 1/\sqrt I)`, U from :math:`U(\pm 1/\sqrt H)`; biases as U, that of the input
    from W's range in theirs.

    Sources: the equation in gyyang/nn-brain, ``RNN_tutorial.ipynb``, the notebook to a primer for
    neuroscientists [yang2020artificial]_; its code takes the relu of the whole new state
    instead. In the paper the nonlinearity stands before the kernels: there the state is a
    potential, here a rate.
    """

    dt: float = 20.0
    tau: float = 100.0
    nonlinearity: Activation = "relu"
    kernel_init: Initializer = "hidden_uniform_columns"
    recurrent_kernel_init: Initializer = "hidden_uniform"
    bias_init: Initializer = "hidden_uniform"
    recurrent_bias_init: Initializer = "hidden_uniform"
    citation: ClassVar[str] = "funahashi1993approximation"
    family: ClassVar[str] = "ODE"

    @staticmethod
    def step(h: State, n: Gate, dt: Constant, tau: Constant, nonlinearity: Nonlinearity) -> Tensor:
        return h + dt / tau * (nonlinearity(n) - h)

    def check_options(self) -> None:
        if not 0 < self.dt <= self.tau:
            raise ValueError(
                f"dt should be greater than zero and at most tau={self.tau}, got {self.dt}"
            )


class CTRNN(RecurrentLayer, cell=CTRNNCell):
    """Stacked :class:`CTRNNCell`."""
