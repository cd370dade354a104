"""The GRU whose gates see a bias alone (Dey and Salem, 2017)."""

from typing import Annotated

from torch import Tensor, sigmoid, tanh

from ..cell import BaseRecurrentCell
from ..init import Initializer
from ..layers.named import RecurrentLayer
from ..roles import Map, Projected, State, VectorRole, Weight

__all__ = ["GRU3", "GRU3Cell"]

Rate = Annotated[Tensor, VectorRole(Weight("weight_gate", None, "gate_"))]


class GRU3Cell(BaseRecurrentCell, citation="dey2017gate", family="GRU-like"):
    r"""GRU whose gates are constant, GRU3 [dey2017gate]_.

    Each unit mixes old and new, and shows the candidate its state, at rates that are learned but
    the same at every step.

    .. math::
        z &= \sigma(b_z), \qquad r = \sigma(b_r) \\
        n_t &= \tanh(W_n x_t + b_n + U (r \odot h_{t-1}) + d_U) \\
        h_t &= (1 - z) \odot h_{t-1} + z \odot n_t

    Sources: as for :class:`GRU1Cell`.
    """

    gate_kernel_init: Initializer = "zeros"

    @staticmethod
    def step(h: State, b_z: Rate, b_r: Rate, n: Projected, U: Map) -> Tensor:
        z, r = sigmoid(b_z), sigmoid(b_r)
        n = tanh(n + U(r * h))
        return (1 - z) * h + z * n


class GRU3(RecurrentLayer, cell=GRU3Cell): ...
