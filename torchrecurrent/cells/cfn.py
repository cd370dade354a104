"""The chaos-free network (Laurent and von Brecht, 2017)."""

from torch import Tensor, sigmoid, tanh

from ..cell import BaseRecurrentCell
from ..init import Initializer, uniform
from ..layers.named import RecurrentLayer
from ..roles import Gate, Projected, State

__all__ = ["CFN", "CFNCell"]


class CFNCell(BaseRecurrentCell, citation="laurent2017recurrent", family="additive"):
    r"""Chaos-free network [laurent2017recurrent]_.

    The candidate sees the input alone, so without input the state can only shrink, while that of
    an LSTM may wander chaotically. Use it where the state's dynamics must be predictable.

    .. math::
        \theta_t &= \sigma(W_\theta x_t + b_\theta + U_\theta h_{t-1} + d_\theta) \\
        \eta_t &= \sigma(W_\eta x_t + b_\eta + U_\eta h_{t-1} + d_\eta) \\
        h_t &= \theta_t \odot \tanh h_{t-1} + \eta_t \odot \tanh(W_n x_t + b_n)

    Sources: the paper's cell and initialisation as in an independent port to TensorFlow; no code
    by the authors was found. The paper's candidate has no bias :math:`b_h`; here it starts at zero.
    """

    theta_bias: float = 1.0
    eta_bias: float = -1.0
    kernel_init: Initializer = uniform(-0.07, 0.07)
    recurrent_kernel_init: Initializer = uniform(-0.07, 0.07)
    first = {"theta": "theta_bias", "eta": "eta_bias"}

    @staticmethod
    def step(h: State, theta: Gate, eta: Gate, n: Projected) -> Tensor:
        return sigmoid(theta) * tanh(h) + sigmoid(eta) * tanh(n)


class CFN(RecurrentLayer, cell=CFNCell): ...
