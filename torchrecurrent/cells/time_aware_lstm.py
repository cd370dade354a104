"""The time-aware LSTM (Baytas et al., 2017)."""

import math
from typing import Annotated

from torch import Tensor, full_like, log, sigmoid, tanh

from ..cell import BaseRecurrentCell
from ..init import Initializer, normal
from ..layers.named import RecurrentLayer
from ..roles import Constant, Function, Gap, Gate, MapRole, State, Weight

__all__ = ["TimeAwareLSTM", "TimeAwareLSTMCell"]

Subspace = Annotated[Function, MapRole(Weight("weight_short", "bias_short", "short_"))]


class TimeAwareLSTMCell(BaseRecurrentCell, citation="baytas2017patient", family="LSTM-like"):
    r"""Time-aware LSTM, T-LSTM [baytas2017patient]_; not :class:`TLSTM`, the strongly-typed one.

    Before a step it discounts a part s of its memory, what is short-term, by the time since the
    step before. Use it for records with irregular and long gaps, such as those of patients.

    .. math::
        s_t &= \tanh(D c_{t-1} + d_D), \qquad
            \tilde c_t = c_{t-1} - s_t + s_t / \log(e + \Delta t) \\
        i_t &= \sigma(W_i x_t + b_i + U_i h_{t-1} + d_i) \quad\text{and so}\quad f_t, o_t \\
        c_t &= f_t \odot \tilde c_t + i_t \odot \tanh(W_g x_t + b_g + U_g h_{t-1} + d_g) \\
        h_t &= o_t \odot \tanh c_t

    Sources: the authors' repository illidanlab/T-LSTM, ``TLSTM.py``; ``T_LSTM_AE.py`` has a sigmoid
    for the tanh of s. The paper's text could not be read.
    """

    dt: float = 1.0
    kernel_init: Initializer = normal(0.1)
    recurrent_kernel_init: Initializer = normal(0.1)
    bias_init: Initializer = "ones"
    short_bias: bool | None = None
    short_kernel_init: Initializer = normal(0.1)
    short_bias_init: Initializer = "ones"

    @staticmethod
    def step(
        h: State,
        c: State,
        i: Gate,
        f: Gate,
        g: Gate,
        o: Gate,
        D: Subspace,
        e: Constant,
        dt: Gap,
    ) -> tuple[Tensor, Tensor]:
        s = tanh(D(c))
        c = c - s + s / log(full_like(s, e) + dt)
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        return sigmoid(o) * tanh(c), c

    @property
    def e(self) -> float:
        """Euler's number: without a time nothing is discounted."""
        return math.e


class TimeAwareLSTM(RecurrentLayer, cell=TimeAwareLSTMCell): ...
