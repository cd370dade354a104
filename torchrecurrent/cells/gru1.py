"""The GRU whose gates see the state and a bias (Dey and Salem, 2017)."""

from torch import Tensor, sigmoid, tanh

from ..cell import BaseRecurrentCell
from ..layers.named import RecurrentLayer
from ..roles import Hidden, Map, Projected, State

__all__ = ["GRU1", "GRU1Cell"]


class GRU1Cell(BaseRecurrentCell, citation="dey2017gate", family="GRU-like"):
    r"""GRU whose gates see the state and a bias, GRU1 [dey2017gate]_.

    A :class:`GRUResetBeforeCell` without the gates' products with the input, which in the paper's
    tests hardly matter.

    .. math::
        z_t &= \sigma(U_z h_{t-1} + d_z) \quad\text{and so}\quad r_t \\
        n_t &= \tanh(W_n x_t + b_n + U (r_t \odot h_{t-1}) + d_U) \\
        h_t &= (1 - z_t) \odot h_{t-1} + z_t \odot n_t

    Sources: the paper's abstract, and SciML/ReservoirComputing.jl,
    ``src/esn/esn_reservoir_drivers.jl`` as of 2021, Variant1 to 3. No code by the authors was
    found, and the initialisation could not be checked.
    """

    @staticmethod
    def step(h: State, z: Hidden, r: Hidden, n: Projected, U: Map) -> Tensor:
        z, r = sigmoid(z), sigmoid(r)
        n = tanh(n + U(r * h))
        return (1 - z) * h + z * n


class GRU1(RecurrentLayer, cell=GRU1Cell): ...
