"""Antisymmetric networks (Chang et al., 2019)."""

from torch import Tensor, sigmoid, tanh

from ..activations import Activation
from ..cell import BaseRecurrentCell
from ..constraints import antisymmetric
from ..init import Initializer
from ..layers.named import RecurrentLayer
from ..roles import Gap, Gate, Hidden, Nonlinearity, Projected, State

__all__ = [
    "AntisymmetricRNN",
    "AntisymmetricRNNCell",
    "GatedAntisymmetricRNN",
    "GatedAntisymmetricRNNCell",
]


class AntisymmetricRNNCell(BaseRecurrentCell, citation="chang2019antisymmetricrnn", family="ODE"):
    r"""Antisymmetric recurrent cell [chang2019antisymmetricrnn]_.

    One Euler step of an ordinary differential equation whose Jacobian has eigenvalues next to the
    imaginary axis: gradients neither explode nor vanish over long sequences.

    .. math::
        U_n &= V - V^\top - \gamma I \\
        h_t &= h_{t-1} + \epsilon\, \phi(W_n x_t + b_n + U_n h_{t-1} + d_n)

    The parameter ``weight_hh`` is V. An antisymmetric matrix has a zero diagonal, so a diagonal
    recurrence is reduced to :math:`-\gamma`.

    Args:
        epsilon: step size :math:`\epsilon`; the paper tries 0.01, 0.1 and 1.
        gamma: diffusion :math:`\gamma`, which damps the growth due to the Euler step.

    Sources: the paper's experimental details as quoted in a reproducibility study, where the
    variance of V is scaled by a factor tuned from 0 to 256; no code by the authors was found.
    Step and diffusion are those of the baseline in erichson/LipschitzRNN, ``models.py``.
    """

    nonlinearity: Activation = "tanh"
    epsilon: float = 0.01
    gamma: float = 0.01
    kernel_init: Initializer = "lecun_normal"
    recurrent_kernel_init: Initializer = "lecun_normal"

    @staticmethod
    def step(h: State, n: Gate, nonlinearity: Nonlinearity, epsilon: Gap) -> Tensor:
        return h + epsilon * nonlinearity(n)

    def recurrent_kernel(self) -> Tensor:
        return antisymmetric(super().recurrent_kernel(), self.gamma)


class AntisymmetricRNN(RecurrentLayer, cell=AntisymmetricRNNCell): ...


class GatedAntisymmetricRNNCell(
    BaseRecurrentCell, citation="chang2019antisymmetricrnn", family="ODE"
):
    r"""Antisymmetric recurrent cell with an input gate [chang2019antisymmetricrnn]_.

    The step of :class:`AntisymmetricRNNCell`, with a gate that scales each unit's update. Gate and
    candidate share one recurrent kernel, which leaves the Jacobian's eigenvalues where they were;
    the gate lets the cell ignore an input.

    .. math::
        U_u &= V - V^\top - \gamma I \\
        z_t &= \sigma(W_z x_t + b_z + U_u h_{t-1} + d_u) \\
        h_t &= h_{t-1} + \epsilon\, z_t \odot \tanh(W_n x_t + b_n + U_u h_{t-1} + d_u)

    The parameter ``weight_hh`` is V.

    Args:
        epsilon: step size :math:`\epsilon`; the paper tries 0.01, 0.1 and 1.
        gamma: diffusion :math:`\gamma`.

    Sources: as for :class:`AntisymmetricRNNCell`.
    """

    epsilon: float = 0.01
    gamma: float = 0.01
    kernel_init: Initializer = "lecun_normal"
    recurrent_kernel_init: Initializer = "lecun_normal"

    @staticmethod
    def step(h: State, z: Projected, n: Projected, u: Hidden, epsilon: Gap) -> Tensor:
        return h + epsilon * sigmoid(z + u) * tanh(n + u)

    def recurrent_kernel(self) -> Tensor:
        return antisymmetric(super().recurrent_kernel(), self.gamma)


class GatedAntisymmetricRNN(RecurrentLayer, cell=GatedAntisymmetricRNNCell): ...
