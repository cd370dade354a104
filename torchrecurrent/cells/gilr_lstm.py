"""The LSTM with a linear surrogate of its state (Martin and Cundy, 2018)."""

from typing import Annotated

from torch import Tensor, sigmoid, tanh

from ..cell import BaseRecurrentCell
from ..init import Initializer, xavier_vector_
from ..layers.named import RecurrentLayer
from ..roles import Functions, MapRole, Output, Projected, State, Weight

__all__ = ["GILRLSTM", "GILRLSTMCell"]

SURROGATE = Weight("weight_surrogate", None, "surrogate_")
Gates = Annotated[Functions, MapRole(SURROGATE, always_dense=True, results=("f", "i", "o", "z"))]


class GILRLSTMCell(BaseRecurrentCell, citation="martin2018parallelizing", family="LSTM-like"):
    r"""LSTM with a linear surrogate, GILR-LSTM [martin2018parallelizing]_.

    In place of the output before, its gates see a moving average of the input, a gated impulse
    linear recurrence. Both recurrences are then linear and all steps can be taken at once. The
    paper learns dependencies over a million steps with it.

    .. math::
        g_t &= \sigma(W_g x_t + b_g) \\
        s_t &= g_t \odot s_{t-1} + (1 - g_t) \odot \tanh(W_v x_t + b_v) \\
        f_t &= \sigma(W_f x_t + b_f + U_f s_t) \quad\text{and so}\quad i_t, o_t \\
        z_t &= \tanh(W_z x_t + b_z + U_z s_t) \\
        c_t &= f_t \odot c_{t-1} + i_t \odot z_t, \qquad h_t = o_t \odot c_t

    Sources: the authors' repository eamartin/parallelizing_linear_rnns, ``layers.py``, the function
    linear_surrogate_lstm. It draws all kernels of a kind together, and so somewhat smaller.
    """

    surrogate_kernel_init: Initializer = "xavier_uniform"
    bias_init: Initializer = xavier_vector_

    @staticmethod
    def step(
        s: State,
        c: State,
        g: Projected,
        v: Projected,
        f: Projected,
        i: Projected,
        o: Projected,
        z: Projected,
        U: Gates,
    ) -> tuple[Output, Tensor, Tensor]:
        g = sigmoid(g)
        s = g * s + (1 - g) * tanh(v)
        u_f, u_i, u_o, u_z = U(s)
        c = sigmoid(f + u_f) * c + sigmoid(i + u_i) * tanh(z + u_z)
        return sigmoid(o + u_o) * c, s, c


class GILRLSTM(RecurrentLayer, cell=GILRLSTMCell): ...
