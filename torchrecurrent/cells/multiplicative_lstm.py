"""The multiplicative LSTM (Krause et al., 2016)."""

from typing import Annotated

from torch import Tensor, sigmoid, tanh

from ..cell import BaseRecurrentCell
from ..init import Initializer
from ..layers.named import RecurrentLayer
from ..roles import Functions, Hidden, MapRole, Projected, State, Weight

__all__ = ["MultiplicativeLSTM", "MultiplicativeLSTMCell"]

MULTIPLICATIVE = Weight("weight_mh", "bias_mh", "multiplicative_")
MultiplicativeMap = Annotated[Functions, MapRole(MULTIPLICATIVE, results=("i", "f", "g", "o"))]


class MultiplicativeLSTMCell(
    BaseRecurrentCell, citation="krause2016multiplicative", family="LSTM-like"
):
    r"""Multiplicative LSTM [krause2016multiplicative]_.

    An LSTM whose gates see the state only through its product with the input, so each input has
    its own transition. Use it for language models over characters or bytes.

    .. math::
        m_t &= (W_m x_t + b_m) \odot (U_k h_{t-1} + d_k) \\
        i_t &= \sigma(W_i x_t + b_i + V_i m_t + d_{V_i}) \quad\text{and so}\quad f_t, o_t \\
        g_t &= \tanh(W_g x_t + b_g + V_g m_t + d_{V_g}) \\
        c_t &= f_t \odot c_{t-1} + i_t \odot g_t \\
        h_t &= o_t \odot \tanh c_t

    Sources: the authors' repository benkrause/mLSTM, ``chainer/mLSTMWN.py``, and
    openai/generating-reviews-discovering-sentiment, ``encoder.py``. They draw U and V from
    :math:`N(0, 0.02^2)` for widths of about 1900, which is Xavier's scale there, and W from
    :math:`N(0, 0.1^2)`; m has no bias. The older ``matlab`` code has no tanh in g, puts the output
    gate inside, :math:`\tanh(o_t \odot c_t)`, and starts the forget gate's bias at 3.
    """

    multiplicative_bias: bool | None = None
    multiplicative_kernel_init: Initializer = "xavier_uniform"
    multiplicative_bias_init: Initializer = "zeros"
    forget_bias: float = 1.0
    first = {"f": "forget_bias"}

    @staticmethod
    def step(
        h: State,
        c: State,
        m: Projected,
        k: Hidden,
        i: Projected,
        f: Projected,
        g: Projected,
        o: Projected,
        V: MultiplicativeMap,
    ) -> tuple[Tensor, Tensor]:
        m = m * k
        m_i, m_f, m_g, m_o = V(m)
        c = sigmoid(f + m_f) * c + sigmoid(i + m_i) * tanh(g + m_g)
        return sigmoid(o + m_o) * tanh(c), c


class MultiplicativeLSTM(RecurrentLayer, cell=MultiplicativeLSTMCell): ...
