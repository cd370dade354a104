"""The ODE-LSTM (Lechner and Hasani, 2020)."""

from typing import Annotated

from torch import Tensor, sigmoid, tanh

from ..cell import BaseRecurrentCell
from ..init import Initializer
from ..layers.named import RecurrentLayer
from ..roles import Function, Gap, Gate, MapRole, State, Weight

__all__ = ["ODELSTM", "ODELSTMCell"]

Layer = Annotated[Function, MapRole(Weight("weight_ode", "bias_ode", "ode_"))]


class ODELSTMCell(BaseRecurrentCell, citation="lechner2020learning", family="LSTM-like"):
    r"""LSTM whose output follows a differential equation, ODE-LSTM [lechner2020learning]_.

    The memory c is an LSTM's, the output runs on for the time since the step before. Use it for
    irregular time series.

    .. math::
        i_t &= \sigma(W_i x_t + b_i + U_i h_{t-1} + d_i) \quad\text{and so}\quad f_t, o_t \\
        c_t &= f_t \odot c_{t-1} + i_t \odot \tanh(W_g x_t + b_g + U_g h_{t-1} + d_g) \\
        h' &= G \tanh(F h + d_F) + d_G, \quad h(0) = o_t \odot \tanh c_t, \quad h_t = h(\Delta t)

    by three steps of Euler's method.

    Sources: the authors' mlech26l/ode-lstms, ``torch_node_cell.py``, without its other solvers; the
    equation in its ``node_cell.py`` has the LSTM's output for an input.
    """

    dt: float = 1.0
    kernel_init: Initializer = "hidden_uniform"
    recurrent_kernel_init: Initializer = "hidden_uniform"
    bias_init: Initializer = "hidden_uniform"
    recurrent_bias_init: Initializer = "hidden_uniform"
    ode_bias: bool | None = None
    ode_kernel_init: Initializer = "hidden_uniform"
    ode_bias_init: Initializer = "hidden_uniform"

    @staticmethod
    def step(
        h: State, c: State, i: Gate, f: Gate, g: Gate, o: Gate, F: Layer, G: Layer, dt: Gap
    ) -> tuple[Tensor, Tensor]:
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        h = sigmoid(o) * tanh(c)
        h = h + dt / 3 * G(tanh(F(h)))
        h = h + dt / 3 * G(tanh(F(h)))
        h = h + dt / 3 * G(tanh(F(h)))
        return h, c


class ODELSTM(RecurrentLayer, cell=ODELSTMCell): ...
