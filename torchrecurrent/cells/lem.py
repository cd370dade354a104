"""Long expressive memory (Rusch et al., 2022)."""

from torch import Tensor, sigmoid, tanh

from ..cell import BaseRecurrentCell
from ..init import Initializer
from ..layers.named import RecurrentLayer
from ..roles import CellMap, Gap, Gate, Projected, State

__all__ = ["LEM", "LEMCell"]


class LEMCell(BaseRecurrentCell, citation="rusch2022long", family="ODE"):
    r"""Long expressive memory [rusch2022long]_, a discretised system of differential equations.

    Two coupled states with learned time steps, for physical signals whose events differ in pace.

    .. math::
        \delta_{k,t} &= \Delta t\,\sigma(W_{\delta_k} x_t + b_{\delta_k} + U_{\delta_k} y_{t-1}
            + d_{\delta_k}) \quad\text{for } k = 1, 2 \\
        z_t &= z_{t-1} + \delta_{2,t} \odot (\tanh(W_u x_t + b_u + U_u y_{t-1} + d_u) - z_{t-1}) \\
        y_t &= y_{t-1} + \delta_{1,t} \odot (\tanh(W_v x_t + b_v + V z_t + d_V) - y_{t-1})

    Args:
        dt: the longest time step :math:`\Delta t`; the authors tune it from 0.0002 to 1.

    Sources: the authors' repository tk-rusch/LEM, ``src/FitzHughNagumo/network.py``.
    """

    dt: float = 1.0
    cell_bias: bool | None = None
    kernel_init: Initializer = "hidden_uniform"
    recurrent_kernel_init: Initializer = "hidden_uniform"
    cell_kernel_init: Initializer = "hidden_uniform"
    bias_init: Initializer = "hidden_uniform"
    recurrent_bias_init: Initializer = "hidden_uniform"
    cell_bias_init: Initializer = "hidden_uniform"

    @staticmethod
    def step(
        y: State,
        z: State,
        delta1: Gate,
        delta2: Gate,
        u: Gate,
        v: Projected,
        V: CellMap,
        dt: Gap,
    ) -> tuple[Tensor, Tensor]:
        delta1 = dt * sigmoid(delta1)
        delta2 = dt * sigmoid(delta2)
        z = (1 - delta2) * z + delta2 * tanh(u)
        y = (1 - delta1) * y + delta1 * tanh(v + V(z))
        return y, z


class LEM(RecurrentLayer, cell=LEMCell): ...
