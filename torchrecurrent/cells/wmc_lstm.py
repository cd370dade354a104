"""The LSTM with working memory connections (Landi, Baraldi, Cornia and Cucchiara, 2021)."""

from typing import Annotated

from torch import Tensor, sigmoid, tanh

from ..cell import BaseRecurrentCell
from ..init import Initializer
from ..layers.named import RecurrentLayer
from ..roles import Function, Gate, MapRole, ProductRole, State, Weight

__all__ = ["WMCLSTM", "WMCLSTMCell"]

MEMORY = Weight("weight_mh", "bias_mh", "memory_")
Memory = Annotated[Tensor, ProductRole(None, MEMORY, "c")]
MemoryMap = Annotated[Function, MapRole(MEMORY)]


class WMCLSTMCell(BaseRecurrentCell, citation="landi2021working", family="LSTM-like"):
    r"""LSTM with working memory connections [landi2021working]_.

    Its gates see a learned and squashed view of the cell state, which moves a gate by a bounded
    amount however far the state has drifted. Use it on long sequences, where peepholes saturate.

    .. math::
        i_t &= \sigma(W_i x_t + b_i + U_i h_{t-1} + d_i + \tanh(U_{m_i} c_{t-1} + d_{m_i}))
            \quad\text{and so}\quad f_t, \qquad g_t = \tanh(W_g x_t + b_g + U_g h_{t-1} + d_g) \\
        c_t &= f_t \odot c_{t-1} + i_t \odot g_t, \qquad h_t = o_t \odot \tanh c_t \\
        o_t &= \sigma(W_o x_t + b_o + U_o h_{t-1} + d_o + \tanh(V_o c_t + d_{V_o}))

    Sources: a published summary of the three connections. The paper, its initialisation, whether V
    has a bias (here it starts at zero), and code by the authors could not be found.
    """

    memory_bias: bool | None = None
    memory_kernel_init: Initializer = "xavier_uniform"
    memory_bias_init: Initializer = "zeros"

    @staticmethod
    def step(
        h: State,
        c: State,
        i: Gate,
        f: Gate,
        g: Gate,
        o: Gate,
        m_i: Memory,
        m_f: Memory,
        V_o: MemoryMap,
    ) -> tuple[Tensor, Tensor]:
        i = sigmoid(i + tanh(m_i))
        f = sigmoid(f + tanh(m_f))
        c = f * c + i * tanh(g)
        o = sigmoid(o + tanh(V_o(c)))
        return o * tanh(c), c


class WMCLSTM(RecurrentLayer, cell=WMCLSTMCell): ...
