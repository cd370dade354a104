"""The continuous-time recurrent network (Funahashi and Nakamura, 1993)."""

from torch import Tensor

from ..activations import Activation
from ..cell import BaseRecurrentCell
from ..init import Initializer
from ..layers.named import RecurrentLayer
from ..roles import Constant, Gap, Gate, Nonlinearity, State

__all__ = ["CTRNN", "CTRNNCell"]


class CTRNNCell(BaseRecurrentCell, citation="funahashi1993approximation", family="ODE"):
    r"""Continuous-time recurrent cell [funahashi1993approximation]_.

    An Euler step of leaky integrators, the network of computational neuroscience: a unit is a
    low-pass filter. Use it to model neural data, or as the simplest network with a sense of time.

    .. math::
        h_t = h_{t-1} + \frac{\Delta t}{\tau} (-h_{t-1} + \phi(W_n x_t + b_n + U_n h_{t-1} + d_n))

    Args:
        dt: time step :math:`\Delta t`, in the units of ``tau``, such as milliseconds.
        tau: time constant :math:`\tau`; with ``tau`` = ``dt`` this is a simple network.

    Sources: gyyang/nn-brain, ``RNN_tutorial.ipynb`` [yang2020artificial]_, with the relu of the new
    state. In the paper the nonlinearity stands before the kernels: the state is a potential.
    """

    dt: float = 20.0
    tau: float = 100.0
    nonlinearity: Activation = "relu"
    kernel_init: Initializer = "hidden_uniform_columns"
    recurrent_kernel_init: Initializer = "hidden_uniform"
    bias_init: Initializer = "hidden_uniform"
    recurrent_bias_init: Initializer = "hidden_uniform"

    @staticmethod
    def step(h: State, n: Gate, dt: Gap, tau: Constant, nonlinearity: Nonlinearity) -> Tensor:
        return h + dt / tau * (nonlinearity(n) - h)

    def check_options(self) -> None:
        if not 0 < self.dt <= self.tau:
            raise ValueError(
                f"dt should be greater than zero and at most tau={self.tau}, got {self.dt}"
            )


class CTRNN(RecurrentLayer, cell=CTRNNCell): ...
