"""The undamped independent controlled oscillatory network (Rusch and Mishra, 2021)."""

from typing import Annotated

from torch import Tensor, sigmoid, tanh

from ..cell import BaseRecurrentCell, Recurrence
from ..init import Initializer, kaiming_uniform_8_, uniform
from ..layers.named import RecurrentLayer
from ..roles import Constant, Gap, Gate, State, VectorRole, Weight

__all__ = ["UnICORNN", "UnICORNNCell"]

Control = Annotated[Tensor, VectorRole(Weight("weight_ch", None, "control_"))]


class UnICORNNCell(BaseRecurrentCell, citation="rusch2021unicornn", family="ODE"):
    r"""Undamped independent controlled oscillators [rusch2021unicornn]_.

    Each unit is a separate oscillator with a learned time step; y is its position and z its
    velocity. The step conserves volume and is invertible, so gradients neither vanish nor explode.
    Use it for very long sequences, in stacks of several layers.

    .. math::
        \delta_t &= \Delta t\, \sigma(c) \\
        z_t &= z_{t-1} - \delta_t \odot (\tanh(W_n x_t + b_n + u_n \odot y_{t-1})
            + \alpha\, y_{t-1}) \\
        y_t &= y_{t-1} + \delta_t \odot z_t

    Args:
        dt: the longest time step :math:`\Delta t`. The authors tune both: (0.19, 30.65) for
            permuted MNIST, (0.126, 13) for noisy CIFAR-10, (0.011, 9) for health care, and one
            :math:`\Delta t` a layer with :math:`\alpha = 0` for EigenWorms and IMDB.
        alpha: :math:`\alpha`, at least 0, the oscillators' stiffness.

    Sources: the authors' repository tk-rusch/unicornn, ``eigenWorms/network.py``.
    """

    dt: float = 0.1
    alpha: float = 0.0
    recurrent_bias: bool | None = False
    recurrence: Recurrence = "diagonal"
    kernel_init: Initializer = kaiming_uniform_8_
    recurrent_kernel_init: Initializer = "uniform"
    control_kernel_init: Initializer = uniform(-0.1, 0.1)

    @staticmethod
    def step(
        y: State, z: State, n: Gate, c: Control, dt: Gap, alpha: Constant
    ) -> tuple[Tensor, Tensor]:
        delta = dt * sigmoid(c)
        z = z - delta * (tanh(n) + alpha * y)
        return y + delta * z, z

    def check_options(self) -> None:
        if self.alpha < 0:
            raise ValueError(f"alpha must not be negative, got {self.alpha}")


class UnICORNN(RecurrentLayer, cell=UnICORNNCell): ...
