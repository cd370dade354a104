"""The nested LSTM (Moniz and Krueger, 2017)."""

from typing import Annotated

from torch import Tensor, sigmoid, tanh

from ..cell import BaseRecurrentCell
from ..init import Initializer
from ..layers.named import RecurrentLayer
from ..roles import Functions, Gate, MapRole, State, Weight

__all__ = ["NestedLSTM", "NestedLSTMCell"]

INPUT = Weight("weight_inner_ih", "bias_inner_ih", "inner_")
STATE = Weight("weight_inner_hh", "bias_inner_hh", "inner_recurrent_")
InnerInput = Annotated[Functions, MapRole(INPUT, results=("i", "f", "g", "o"))]
InnerState = Annotated[Functions, MapRole(STATE, results=("i", "f", "g", "o"))]


class NestedLSTMCell(BaseRecurrentCell, citation="moniz2017nested", family="LSTM-like"):
    r"""Nested LSTM [moniz2017nested]_.

    The memory of an LSTM is the output of another LSTM inside it, whose own memory changes more
    slowly: depth in the memory instead of a stack of layers. Use it where an LSTM's memory has to
    work on two time scales.

    .. math::
        i_t &= \sigma(W_i x_t + b_i + U_i h_{t-1} + d_i) \quad\text{and so}\quad f_t, o_t \\
        g_t &= W_g x_t + b_g + U_g h_{t-1} + d_g \\
        u_t &= i_t \odot g_t, \qquad s_t = f_t \odot c_{t-1} \\
        \tilde i_t &= \sigma(A_i u_t + d_{A_i} + B_i s_t + d_{B_i})
            \quad\text{and so}\quad \tilde f_t, \tilde o_t \\
        \tilde g_t &= \tanh(A_g u_t + d_{A_g} + B_g s_t + d_{B_g}) \\
        n_t &= \tilde f_t \odot n_{t-1} + \tilde i_t \odot \tilde g_t \\
        c_t &= \tilde o_t \odot \tanh n_t \\
        h_t &= o_t \odot \tanh c_t

    The inner LSTM has the input u, the state s and the memory n.

    Sources: hannw/nlstm, ``rnn_cell.py``, a port; the authors' code was not found. It has options
    for more than two levels and for peepholes, and draws each level's kernels as one matrix.
    """

    forget_bias: float = 1.0
    inner_bias: bool | None = None
    inner_recurrent_bias: bool | None = None
    kernel_init: Initializer = "xavier_normal"
    recurrent_kernel_init: Initializer = "orthogonal"
    inner_kernel_init: Initializer = "orthogonal"
    inner_bias_init: Initializer = "zeros"
    inner_recurrent_kernel_init: Initializer = "orthogonal"
    inner_recurrent_bias_init: Initializer = "zeros"
    first = {"f": "forget_bias", "A_f": "forget_bias"}

    @staticmethod
    def step(
        h: State,
        c: State,
        n: State,
        i: Gate,
        f: Gate,
        g: Gate,
        o: Gate,
        A: InnerInput,
        B: InnerState,
    ) -> tuple[Tensor, Tensor, Tensor]:
        u, s = sigmoid(i) * g, sigmoid(f) * c
        i_n, f_n, g_n, o_n = A(u) + B(s)
        n = sigmoid(f_n) * n + sigmoid(i_n) * tanh(g_n)
        c = sigmoid(o_n) * tanh(n)
        return sigmoid(o) * tanh(c), c, n


class NestedLSTM(RecurrentLayer, cell=NestedLSTMCell): ...
