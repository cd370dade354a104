"""The GRU with exponential basis functions (Joshi and Hauskrecht, 2026)."""

from typing import Annotated

from torch import Tensor, exp, nn, relu, sigmoid, tanh

from ..cell import BaseRecurrentCell
from ..init import Initializer, variance_scaling
from ..layers.named import RecurrentLayer
from ..roles import RECURRENT, Functions, Gap, Map, MapRole, Projected, State, VectorRole, Weight

__all__ = ["GRUwE", "GRUwECell"]

Gates = Annotated[Functions, MapRole(RECURRENT, results=("z", "r"))]
Decay = Annotated[Tensor, VectorRole(Weight("weight_decay", None, "decay_"))]


class GRUwECell(BaseRecurrentCell, citation="joshi2026still", family="GRU-like"):
    r"""GRU with exponential basis functions, GRUwE [joshi2026still]_.

    Each unit decays between two observations, at a learned rate; an observation updates it as in a
    :class:`GRUResetBeforeCell`. Use it for irregular time series.

    .. math::
        \tilde h_t &= h_{t-1} \odot e^{-\mathrm{relu}(w \Delta t + \beta)} \\
        z_t &= \sigma(W_z x_t + b_z + U_z \tilde h_t + d_{U_z}) \quad\text{and so}\quad r_t \\
        n_t &= \tanh(W_n x_t + b_n + V (r_t \odot \tilde h_t) + d_V) \\
        h_t &= (1 - z_t) \odot \tilde h_t + z_t \odot n_t

    Sources: the paper's abstract, and Ladbaby/PyOmniTS, ``models/GRUwE.py``, a port, which embeds
    values and a mask before W and draws w for H + 1 units. The authors' code could not be read.
    """

    dt: float = 1.0
    decay_kernel_init: Initializer = variance_scaling(2.0, "uniform", "fan_out")
    first = {"beta": nn.init.zeros_}

    @staticmethod
    def step(
        h: State,
        z: Projected,
        r: Projected,
        n: Projected,
        U: Gates,
        V: Map,
        w: Decay,
        beta: Decay,
        dt: Gap,
    ) -> Tensor:
        h = h * exp(-relu(w * dt + beta))
        U_z, U_r = U(h)
        z, r = sigmoid(z + U_z), sigmoid(r + U_r)
        n = tanh(n + V(r * h))
        return (1 - z) * h + z * n


class GRUwE(RecurrentLayer, cell=GRUwECell): ...
