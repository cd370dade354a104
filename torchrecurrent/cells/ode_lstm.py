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

    The memory c is an LSTM's and carries gradients over long times; the output, which gates see at
    the next step, runs for the time since the step before. Use it for irregular time series.

    .. math::
        i_t &= \sigma(W_i x_t + b_i + U_i h_{t-1} + d_i) \quad\text{and so}\quad f_t, o_t \\
        c_t &= f_t \odot c_{t-1} + i_t \odot \tanh(W_g x_t + b_g + U_g h_{t-1} + d_g) \\
        h' &= G \tanh(F h + d_F) + d_G, \quad\text{from } h(0) = o_t \odot \tanh c_t
            \quad\text{to}\quad h_t = h(\Delta t)

    by three steps of Euler's method.

    Sources: the authors' repository mlech26l/ode-lstms, ``torch_node_cell.py``, solver
    ``"fixed_euler"``; its other solvers are not included. ``node_cell.py`` there is another model,
    whose equation has the LSTM's output for an input.
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
