"""The minimal gated unit whose gate sees the state alone (Heck and Salem, 2017)."""

from torch import Tensor, sigmoid, tanh

from ..cell import BaseRecurrentCell
from ..init import Initializer
from ..layers.named import RecurrentLayer
from ..roles import Hidden, Map, Projected, State

__all__ = ["MGU2", "MGU2Cell"]


class MGU2Cell(BaseRecurrentCell, citation="heck2017simplified", family="one-gate"):
    r"""Minimal gated unit whose gate sees the state alone, MGU2 [heck2017simplified]_.

    A :class:`MGU1Cell` whose gate has no bias; the best of the three in the paper's tests.

    .. math::
        f_t &= \sigma(U_f h_{t-1}) \\
        n_t &= \tanh(W_n x_t + b_n + U (f_t \odot h_{t-1})) \\
        h_t &= (1 - f_t) \odot h_{t-1} + f_t \odot n_t

    Sources: as for :class:`MGU1Cell`.
    """

    recurrent_bias: bool | None = False
    recurrent_kernel_init: Initializer = "orthogonal"

    @staticmethod
    def step(h: State, f: Hidden, n: Projected, U: Map) -> Tensor:
        f = sigmoid(f)
        n = tanh(n + U(f * h))
        return (1 - f) * h + f * n


class MGU2(RecurrentLayer, cell=MGU2Cell): ...
