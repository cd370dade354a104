"""Networks with momentum (Nguyen et al., 2020)."""

from torch import Tensor, sigmoid, tanh

from ..activations import Activation
from ..cell import BaseRecurrentCell
from ..init import Initializer
from ..layers.named import RecurrentLayer
from ..roles import Constant, Hidden, Nonlinearity, Projected, State

__all__ = ["MomentumLSTM", "MomentumLSTMCell", "MomentumRNN", "MomentumRNNCell"]


class MomentumRNNCell(BaseRecurrentCell, citation="nguyen2020momentumrnn", family="simple"):
    r"""Recurrent cell with momentum, MomentumRNN [nguyen2020momentumrnn]_.

    A step of a recurrent network, seen as one of gradient descent, gets the momentum of an
    optimiser: the input arrives through a moving sum of past inputs, which keeps gradients from
    vanishing and speeds up learning.

    .. math::
        v_t &= \mu\, v_{t-1} + \epsilon\,(W_n x_t + b_n) \\
        h_t &= \phi(U_u h_{t-1} + d_u + v_t)

    Args:
        mu: momentum :math:`\mu`, from 0 to less than 1.
        epsilon: step size :math:`\epsilon`. With ``mu`` 0 and ``epsilon`` 1 this is an RNN.

    Sources: ``mnist-timit/orthogonal.py`` of minhtannguyen/MomentumRNN, by the authors: without
    biases, U kept orthogonal, :math:`\phi` modReLU. Defaults as their LSTM's in ``momentumnet.py``.
    """

    mu: float = 0.9
    epsilon: float = 0.1
    nonlinearity: Activation = "tanh"
    kernel_init: Initializer = "orthogonal"
    recurrent_kernel_init: Initializer = "eye"

    @staticmethod
    def step(
        h: State,
        v: State,
        n: Projected,
        u: Hidden,
        mu: Constant,
        epsilon: Constant,
        nonlinearity: Nonlinearity,
    ) -> tuple[Tensor, Tensor]:
        v = mu * v + epsilon * n
        return nonlinearity(u + v), v

    def check_options(self) -> None:
        check_momentum(self.mu)


class MomentumLSTMCell(BaseRecurrentCell, citation="nguyen2020momentumrnn", family="LSTM-like"):
    r"""LSTM with momentum, MomentumLSTM [nguyen2020momentumrnn]_.

    An LSTM whose input arrives through momentum, as in :class:`MomentumRNNCell`, with a velocity
    for each gate. The paper tries it on images by pixel, on speech and on text.

    .. math::
        v_{k,t} &= \mu\, v_{k,t-1} + \epsilon\,(W_{w_k} x_t + b_{w_k})
            \quad\text{for } k = i, f, g, o \\
        i_t &= \sigma(U_i h_{t-1} + d_i + v_{i,t}) \quad\text{and so}\quad f_t, o_t \\
        g_t &= \tanh(U_g h_{t-1} + d_g + v_{g,t}) \\
        c_t &= f_t \odot c_{t-1} + i_t \odot g_t \\
        h_t &= o_t \odot \tanh c_t

    Args:
        mu: momentum :math:`\mu`, from 0 to less than 1.
        epsilon: step size :math:`\epsilon`. With ``mu`` 0 and ``epsilon`` 1 this is an LSTM.
        forget_bias: added to the first values of both biases of the forget gate.

    Sources: ``mnist-timit/momentumnet.py`` and ``mnist.py`` of the same repository. It fills the
    stack of all gates, whose first block, the input gate's, is then an identity and the others
    zero. Its Adam and Nesterov variants are not included.
    """

    mu: float = 0.9
    epsilon: float = 0.1
    forget_bias: float = 1.0
    kernel_init: Initializer = "orthogonal"
    recurrent_kernel_init: Initializer = "eye"
    first = {"w_f": "forget_bias", "f": "forget_bias"}

    @staticmethod
    def step(
        h: State,
        c: State,
        v_i: State,
        v_f: State,
        v_g: State,
        v_o: State,
        w_i: Projected,
        w_f: Projected,
        w_g: Projected,
        w_o: Projected,
        i: Hidden,
        f: Hidden,
        g: Hidden,
        o: Hidden,
        mu: Constant,
        epsilon: Constant,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        v_i, v_f = mu * v_i + epsilon * w_i, mu * v_f + epsilon * w_f
        v_g, v_o = mu * v_g + epsilon * w_g, mu * v_o + epsilon * w_o
        c = sigmoid(f + v_f) * c + sigmoid(i + v_i) * tanh(g + v_g)
        return sigmoid(o + v_o) * tanh(c), c, v_i, v_f, v_g, v_o

    def check_options(self) -> None:
        check_momentum(self.mu)


def check_momentum(mu: float) -> None:
    """Raise ValueError for a momentum with which a velocity would grow without bound."""
    if not 0 <= mu < 1:
        raise ValueError(f"mu should be at least 0 and less than 1, got {mu}")


class MomentumRNN(RecurrentLayer, cell=MomentumRNNCell): ...


class MomentumLSTM(RecurrentLayer, cell=MomentumLSTMCell): ...
