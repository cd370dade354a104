"""The minimal gated unit whose gate sees the state and a bias (Heck and Salem, 2017)."""

from torch import Tensor, sigmoid, tanh

from ..cell import BaseRecurrentCell
from ..init import Initializer
from ..layers.named import RecurrentLayer
from ..roles import Hidden, Map, Projected, State

__all__ = ["MGU1", "MGU1Cell"]


class MGU1Cell(BaseRecurrentCell, citation="heck2017simplified", family="one-gate"):
    r"""Minimal gated unit whose gate sees the state and a bias, MGU1 [heck2017simplified]_.

    A :class:`MGUCell` without the gate's product with the input: half of a GRU's parameters.

    .. math::
        f_t &= \sigma(U_f h_{t-1} + d_f) \\
        n_t &= \tanh(W_n x_t + b_n + U (f_t \odot h_{t-1}) + d_U) \\
        h_t &= (1 - f_t) \odot h_{t-1} + f_t \odot n_t

    Sources: the paper's abstract, and the equations of MGU1 to 3 as in a port to Keras by others,
    whose recurrent kernels are orthogonal, as here. No code by the authors was found, and their
    initialisation could not be checked.
    """

    recurrent_kernel_init: Initializer = "orthogonal"

    @staticmethod
    def step(h: State, f: Hidden, n: Projected, U: Map) -> Tensor:
        f = sigmoid(f)
        n = tanh(n + U(f * h))
        return (1 - f) * h + f * n


class MGU1(RecurrentLayer, cell=MGU1Cell): ...
