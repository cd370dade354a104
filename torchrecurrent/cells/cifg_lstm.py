"""The LSTM with coupled input and forget gates (Greff et al., 2017)."""

from torch import Tensor, sigmoid, tanh

from ..cell import BaseRecurrentCell
from ..layers.named import RecurrentLayer
from ..roles import Gate, State

__all__ = ["CIFGLSTM", "CIFGLSTMCell"]


class CIFGLSTMCell(BaseRecurrentCell, citation="greff2017lstm", family="LSTM-like"):
    r"""LSTM with coupled input and forget gates, CIFG [greff2017lstm]_.

    New content replaces exactly what is forgotten, which saves one gate and a quarter of the
    parameters, and the cell state stays an average. The study that named it found no significant
    loss; use it where an LSTM works well but is a little too large.

    .. math::
        f_t &= \sigma(W_f x_t + b_f + U_f h_{t-1} + d_f) \quad\text{and so}\quad o_t \\
        g_t &= \tanh(W_g x_t + b_g + U_g h_{t-1} + d_g) \\
        c_t &= f_t \odot c_{t-1} + (1 - f_t) \odot g_t \\
        h_t &= o_t \odot \tanh c_t

    Sources: TensorFlow's ``contrib/rnn/python/ops/rnn_cell.py``, class
    CoupledInputForgetGateLSTMCell, without its peepholes, which the study's LSTMs have too. The
    study, from memory, draws all parameters from :math:`N(0, 0.1^2)`.
    """

    forget_bias: float = 1.0
    first = {"f": "forget_bias"}

    @staticmethod
    def step(h: State, c: State, f: Gate, g: Gate, o: Gate) -> tuple[Tensor, Tensor]:
        f, g, o = sigmoid(f), tanh(g), sigmoid(o)
        c = f * c + (1 - f) * g
        return o * tanh(c), c


class CIFGLSTM(RecurrentLayer, cell=CIFGLSTMCell): ...
