"""FastRNN and FastGRNN (Kusupati et al., 2018)."""

from torch import Tensor, sigmoid

from ..activations import Activation
from ..cell import BaseRecurrentCell
from ..init import Initializer, normal
from ..layers.named import RecurrentLayer
from ..roles import Bias, Gate, GateNonlinearity, Nonlinearity, Scalar, State

__all__ = ["FastGRNN", "FastGRNNCell", "FastRNN", "FastRNNCell"]


class FastRNNCell(BaseRecurrentCell, citation="kusupati2018fastgrnn", family="simple"):
    r"""Recurrent cell with a weighted residual connection [kusupati2018fastgrnn]_.

    Two learned numbers weigh the candidate and the old state; near 0 and 1 they keep the gradient
    well-conditioned over long sequences. Use it on devices where a gate costs too much.

    .. math::
        \tilde h_t &= \phi(W_n x_t + b_n + U_n h_{t-1} + d_n) \\
        h_t &= \sigma(\alpha)\, \tilde h_t + \sigma(\beta)\, h_{t-1}

    Sources: the authors' repository microsoft/EdgeML, ``pytorch/edgeml_pytorch/graph/rnn.py``,
    in which a state at first changes slowly. Its low-rank kernels are not included.
    """

    nonlinearity: Activation = "tanh"
    alpha_init: float = -3.0
    beta_init: float = 3.0
    kernel_init: Initializer = normal(0.1)
    recurrent_kernel_init: Initializer = normal(0.1)
    bias_init: Initializer = "ones"

    @staticmethod
    def step(h: State, n: Gate, alpha: Scalar, beta: Scalar, nonlinearity: Nonlinearity) -> Tensor:
        return sigmoid(alpha) * nonlinearity(n) + sigmoid(beta) * h


class FastRNN(RecurrentLayer, cell=FastRNNCell): ...


class FastGRNNCell(BaseRecurrentCell, citation="kusupati2018fastgrnn", family="one-gate"):
    r"""Gated recurrent cell whose gate shares the candidate's kernels [kusupati2018fastgrnn]_.

    The gate costs only a bias: the cell has the parameters of a simple recurrent cell plus one
    vector and two numbers. Use it for models that must fit into kilobytes.

    .. math::
        n_t &= W_n x_t + U_n h_{t-1} \\
        z_t &= \sigma(n_t + b_z), \qquad \tilde h_t = \phi(n_t + b_h) \\
        h_t &= (\sigma(\zeta)\,(1 - z_t) + \sigma(\nu)) \odot \tilde h_t + z_t \odot h_{t-1}

    Each of :math:`b_z` and :math:`b_h` is the sum of its rows of ``bias_ih`` and ``bias_hh``.

    Sources: as for :class:`FastRNNCell`.
    """

    gate_nonlinearity: Activation = "sigmoid"
    nonlinearity: Activation = "tanh"
    zeta_init: float = 1.0
    nu_init: float = -4.0
    kernel_init: Initializer = normal(0.1)
    recurrent_kernel_init: Initializer = normal(0.1)
    bias_init: Initializer = "ones"

    @staticmethod
    def step(
        h: State,
        n: Gate,
        b_z: Bias,
        b_h: Bias,
        zeta: Scalar,
        nu: Scalar,
        gate_nonlinearity: GateNonlinearity,
        nonlinearity: Nonlinearity,
    ) -> Tensor:
        z = gate_nonlinearity(n + b_z)
        c = nonlinearity(n + b_h)
        return (sigmoid(zeta) * (1 - z) + sigmoid(nu)) * c + z * h


class FastGRNN(RecurrentLayer, cell=FastGRNNCell): ...
