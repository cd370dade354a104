"""The LSTM with coupled input and forget gates (Greff et al., 2017)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, sigmoid, tanh

from ..cell import BaseRecurrentCell
from ..named_layer import RecurrentLayer
from ..roles import Gate, State

__all__ = ["CIFGLSTM", "CIFGLSTMCell"]


class CIFGLSTMCell(BaseRecurrentCell):
    r"""LSTM with coupled input and forget gates, CIFG [greff2017lstm]_.

    What is written takes the place of what is forgotten, so one gate and a quarter of the
    parameters are saved, and the cell state stays an average. The study that named it found no
    significant loss; use it where an LSTM is good and a little too large.

    .. math::
        f_t &= \sigma(W_f x_t + b_f + U_f h_{t-1} + d_f) \\
        g_t &= \tanh(W_g x_t + b_g + U_g h_{t-1} + d_g) \\
        o_t &= \sigma(W_o x_t + b_o + U_o h_{t-1} + d_o) \\
        c_t &= f_t \odot c_{t-1} + (1 - f_t) \odot g_t \\
        h_t &= o_t \odot \tanh c_t

    Args:
        forget_bias: added to the first value of the forget gate's bias.

    The study's LSTMs have peepholes too; these gates have none.

    Initialisation: Xavier-uniform kernels, one gate at a time; biases zero, the forget gate's
    one. The study draws all parameters from :math:`N(0, 0.1^2)`.

    Sources: TensorFlow's ``contrib/rnn/python/ops/rnn_cell.py``, class
    CoupledInputForgetGateLSTMCell, without its peepholes; the study's equations and
    initialisation are from memory.
    """

    forget_bias: float = 1.0
    citation: ClassVar[str] = "greff2017lstm"
    family: ClassVar[str] = "LSTM-like"
    first = {"f": "forget_bias"}

    @staticmethod
    def step(h: State, c: State, f: Gate, g: Gate, o: Gate) -> tuple[Tensor, Tensor]:
        f, g, o = sigmoid(f), tanh(g), sigmoid(o)
        c = f * c + (1 - f) * g
        return o * tanh(c), c


class CIFGLSTM(RecurrentLayer, cell=CIFGLSTMCell):
    """Stacked :class:`CIFGLSTMCell`."""
