"""The GRU whose gates see the state alone (Dey and Salem, 2017)."""

from torch import Tensor, sigmoid, tanh

from ..cell import BaseRecurrentCell
from ..layers.named import RecurrentLayer
from ..roles import Hidden, Map, Projected, State

__all__ = ["GRU2", "GRU2Cell"]


class GRU2Cell(BaseRecurrentCell, citation="dey2017gate", family="GRU-like"):
    r"""GRU whose gates see the state alone, GRU2 [dey2017gate]_.

    A :class:`GRU1Cell` whose gates have no bias.

    .. math::
        z_t &= \sigma(U_z h_{t-1}) \quad\text{and so}\quad r_t \\
        n_t &= \tanh(W_n x_t + b_n + U (r_t \odot h_{t-1})) \\
        h_t &= (1 - z_t) \odot h_{t-1} + z_t \odot n_t

    Sources: as for :class:`GRU1Cell`.
    """

    recurrent_bias: bool | None = False

    @staticmethod
    def step(h: State, z: Hidden, r: Hidden, n: Projected, U: Map) -> Tensor:
        z, r = sigmoid(z), sigmoid(r)
        n = tanh(n + U(r * h))
        return (1 - z) * h + z * n


class GRU2(RecurrentLayer, cell=GRU2Cell): ...
