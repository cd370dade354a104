"""The stabilised light GRU (Moumen and Parcollet, 2023)."""

from torch import Tensor, sigmoid

from ..activations import Activation
from ..cell import BaseRecurrentCell
from ..init import Initializer
from ..layers.named import RecurrentLayer
from ..roles import Hidden, Nonlinearity, Norm, Projected, State

__all__ = ["SLiGRU", "SLiGRUCell"]


class SLiGRUCell(BaseRecurrentCell, citation="moumen2023stabilising", family="one-gate"):
    r"""Stabilised light GRU, SLi-GRU [moumen2023stabilising]_.

    A :class:`LiGRUCell` whose products with the state are normalised, so that its relu no longer
    lets gradients explode on long recordings. Use it for speech.

    .. math::
        (u_n, u_z) &= \mathrm{LN}(U_{u_n} h_{t-1}, U_{u_z} h_{t-1}) \\
        z_t &= \sigma(W_z x_t + b_z + u_z) \\
        h_t &= z_t \odot h_{t-1} + (1 - z_t) \odot \phi(W_n x_t + b_n + u_n)

    where LN subtracts the mean of all units of both products together, and divides by
    :math:`\sqrt{\text{variance} + \epsilon}`; :math:`\epsilon` is ``layer_norm_eps``.

    Sources: speechbrain, ``speechbrain/nnet/RNN.py``, the layer SLiGRU_Layer, by the first author.
    There W x is batch-normalised, which brings the biases, and the candidate has dropout, one mask
    for all steps; neither is included.
    """

    nonlinearity: Activation = "relu"
    recurrent_bias: bool | None = False
    recurrent_kernel_init: Initializer = "orthogonal"

    @staticmethod
    def step(
        h: State,
        n: Projected,
        z: Projected,
        u_n: Hidden,
        u_z: Hidden,
        N: Norm,
        nonlinearity: Nonlinearity,
    ) -> Tensor:
        u_n, u_z = N(u_n, u_z)
        z = sigmoid(z + u_z)
        return z * h + (1 - z) * nonlinearity(n + u_n)


class SLiGRU(RecurrentLayer, cell=SLiGRUCell): ...
