"""The multiplicative LSTM (Krause et al., 2016)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, ClassVar

from torch import Tensor, sigmoid, tanh

from ..cell import BaseRecurrentCell
from ..init import Initializer
from ..named_layer import RecurrentLayer
from ..roles import Input, Kernel, MapRole, Recurrent, State

__all__ = ["MultiplicativeLSTM", "MultiplicativeLSTMCell"]

MULTIPLICATIVE = Kernel("weight_mh", "bias_mh", "multiplicative_")
MultiplicativeMap = Annotated[Callable[[Tensor], Tensor], MapRole(MULTIPLICATIVE)]


class MultiplicativeLSTMCell(BaseRecurrentCell):
    r"""Multiplicative LSTM [krause2016multiplicative]_.

    An LSTM whose gates see the state only through its product with the input, so each input
    has a transition of its own. For language models over characters or bytes.

    .. math::
        m_t &= (W_m x_t + b_m) \odot (U h_{t-1} + d) \\
        i_t &= \sigma(W_i x_t + b_i + V_i m_t + e_i) \\
        f_t &= \sigma(W_f x_t + b_f + V_f m_t + e_f) \\
        g_t &= \tanh(W_g x_t + b_g + V_g m_t + e_g) \\
        o_t &= \sigma(W_o x_t + b_o + V_o m_t + e_o) \\
        c_t &= f_t \odot c_{t-1} + i_t \odot g_t \\
        h_t &= o_t \odot \tanh c_t

    Args:
        multiplicative_bias: whether the product with m has a bias e; default: as ``bias``.
        multiplicative_kernel_init: initialiser of V, ``weight_mh``.
        multiplicative_bias_init: initialiser of ``bias_mh``.
        forget_bias: added to the first value of the forget gate's bias.

    Initialisation: Xavier-uniform kernels, one gate at a time; biases zero, the forget
    gate's one. The authors draw U and V from :math:`N(0, 0.02^2)` for widths of about 1900,
    which is Xavier's scale there, and W from :math:`N(0, 0.1^2)`; m has no bias in the paper.

    Sources: the authors' repository benkrause/mLSTM, ``chainer/mLSTMWN.py``, and
    openai/generating-reviews-discovering-sentiment, ``encoder.py``. The authors' older
    ``matlab`` code has no tanh in g, puts the output gate inside: :math:`\tanh(o_t \odot
    c_t)`, and starts the forget gate's bias at 3.
    """

    multiplicative_bias: bool | None = None
    multiplicative_kernel_init: Initializer = "xavier_uniform"
    multiplicative_bias_init: Initializer = "zeros"
    forget_bias: float = 1.0
    citation: ClassVar[str] = "krause2016multiplicative"
    family: ClassVar[str] = "LSTM-like"
    first = {"f": "forget_bias"}

    @staticmethod
    def step(
        h: State,
        c: State,
        m: Input,
        k: Recurrent,
        i: Input,
        f: Input,
        g: Input,
        o: Input,
        V_i: MultiplicativeMap,
        V_f: MultiplicativeMap,
        V_g: MultiplicativeMap,
        V_o: MultiplicativeMap,
    ) -> tuple[Tensor, Tensor]:
        m = m * k
        i, f = sigmoid(i + V_i(m)), sigmoid(f + V_f(m))
        g, o = tanh(g + V_g(m)), sigmoid(o + V_o(m))
        c = f * c + i * g
        return o * tanh(c), c


class MultiplicativeLSTM(RecurrentLayer, cell=MultiplicativeLSTMCell):
    """Stacked :class:`MultiplicativeLSTMCell`."""
