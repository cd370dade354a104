"""The minimal gated unit whose gate sees a bias alone (Heck and Salem, 2017)."""

from typing import Annotated

from torch import Tensor, sigmoid, tanh

from ..cell import BaseRecurrentCell
from ..init import Initializer
from ..layers.named import RecurrentLayer
from ..roles import Map, Projected, State, VectorRole, Weight

__all__ = ["MGU3", "MGU3Cell"]

Rate = Annotated[Tensor, VectorRole(Weight("weight_gate", None, "gate_"))]


class MGU3Cell(BaseRecurrentCell, citation="heck2017simplified", family="one-gate"):
    r"""Minimal gated unit whose gate sees a bias alone, MGU3 [heck2017simplified]_.

    Each unit mixes old and new at a rate that is learned but the same at every step.

    .. math::
        f &= \sigma(b_f) \\
        n_t &= \tanh(W_n x_t + b_n + U (f \odot h_{t-1}) + d_U) \\
        h_t &= (1 - f) \odot h_{t-1} + f \odot n_t

    Sources: as for :class:`MGU1Cell`.
    """

    recurrent_kernel_init: Initializer = "orthogonal"
    gate_kernel_init: Initializer = "zeros"

    @staticmethod
    def step(h: State, b_f: Rate, n: Projected, U: Map) -> Tensor:
        f = sigmoid(b_f)
        n = tanh(n + U(f * h))
        return (1 - f) * h + f * n


class MGU3(RecurrentLayer, cell=MGU3Cell): ...
