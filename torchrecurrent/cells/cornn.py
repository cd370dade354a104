"""The coupled oscillatory network (Rusch and Mishra, 2021)."""

from torch import Tensor, tanh

from ..cell import BaseRecurrentCell
from ..init import Initializer
from ..layers.named import RecurrentLayer
from ..roles import CellMap, Constant, Gap, Gate, State

__all__ = ["coRNN", "coRNNCell"]


class coRNNCell(BaseRecurrentCell, citation="rusch2021coupled", family="ODE"):
    r"""Coupled oscillatory recurrent cell [rusch2021coupled]_.

    A network of damped, driven oscillators: y is their position, z their velocity. For small enough
    :math:`\Delta t` gradients are bounded over any length.

    .. math::
        z_t &= z_{t-1} + \Delta t \,(\tanh(W_n x_t + b_n + U_n y_{t-1} + d_n + V z_{t-1} + d_V)
            - \gamma\, y_{t-1} - \epsilon\, z_{t-1}) \\
        y_t &= y_{t-1} + \Delta t \, z_t

    Args:
        dt: time step :math:`\Delta t`. The authors tune all three for each task: (0.042, 2.7, 4.7)
            for sequential MNIST, (0.06, 66, 15) for adding, (0.1, 0.2, 6.4) for HAR-2.
        gamma: squared frequency :math:`\gamma` of the oscillators.
        epsilon: damping :math:`\epsilon`.

    Sources: the authors' repository tk-rusch/coRNN, ``sMNIST/network.py`` and ``HAR-2/network.py``,
    which draws all parameters, as one linear map, from :math:`U(\pm 1/\sqrt{I + 2H})`.
    """

    dt: float = 0.1
    gamma: float = 1.0
    epsilon: float = 1.0
    cell_bias: bool | None = None
    kernel_init: Initializer = "hidden_uniform"
    recurrent_kernel_init: Initializer = "hidden_uniform"
    cell_kernel_init: Initializer = "hidden_uniform"
    bias_init: Initializer = "hidden_uniform"
    recurrent_bias_init: Initializer = "hidden_uniform"
    cell_bias_init: Initializer = "hidden_uniform"

    @staticmethod
    def step(
        y: State, z: State, n: Gate, V: CellMap, dt: Gap, gamma: Constant, epsilon: Constant
    ) -> tuple[Tensor, Tensor]:
        z = z + dt * (tanh(n + V(z)) - gamma * y - epsilon * z)
        y = y + dt * z
        return y, z


class coRNN(RecurrentLayer, cell=coRNNCell): ...
