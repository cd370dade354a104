"""The recurrent additive network (Lee, Levy and Zettlemoyer, 2017)."""

from torch import Tensor, sigmoid, tanh

from ..cell import BaseRecurrentCell
from ..layers.named import RecurrentLayer
from ..roles import Bias, Gate, Projected, State

__all__ = ["RAN", "RANCell"]


class RANCell(BaseRecurrentCell, citation="lee2017recurrent", family="additive"):
    r"""Recurrent additive network [lee2017recurrent]_.

    An LSTM without a nonlinear candidate: the cell state is a weighted sum of projected inputs, so
    each input's contribution can be read off. Use it for language, where it matches an LSTM with
    fewer parameters.

    .. math::
        i_t &= \sigma(W_i x_t + U_i h_{t-1} + b_i) \quad\text{and so}\quad f_t \\
        c_t &= i_t \odot W_n x_t + f_t \odot c_{t-1} \\
        h_t &= \tanh c_t

    Sources: the authors' repository kentonl/ran, ``ran.py``, whose kernels have TensorFlow's
    default at the time, Xavier-uniform over both gates at once.
    """

    @staticmethod
    def step(
        h: State, c: State, n: Projected, i: Gate, f: Gate, b_i: Bias, b_f: Bias
    ) -> tuple[Tensor, Tensor]:
        c = sigmoid(i + b_i) * n + sigmoid(f + b_f) * c
        return tanh(c), c


class RAN(RecurrentLayer, cell=RANCell): ...
