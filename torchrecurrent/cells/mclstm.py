"""The memory-controller LSTM (Ben-Ari and Shwartz-Ziv, 2017)."""

from torch import Tensor, tanh

from ..activations import Activation
from ..cell import BaseRecurrentCell
from ..layers.named import RecurrentLayer
from ..roles import Gate, GateNonlinearity, Nonlinearity, Output, State

__all__ = ["MCLSTM", "MCLSTMCell"]


class MCLSTMCell(BaseRecurrentCell, citation="benari2017sequence", family="LSTM-like"):
    r"""Memory-controller LSTM [benari2017sequence]_.

    A fifth gate makes a control vector v, which is fed back in place of the output, so that the
    prediction and the control of the memory can differ. Use it to forecast time series.

    .. math::
        f_t &= \sigma(W_f x_t + b_f + U_f v_{t-1} + d_f) \quad\text{and so}\quad i_t, o_t, m_t \\
        c_t &= f_t \odot c_{t-1} + i_t \odot \phi(W_n x_t + b_n + U_n v_{t-1} + d_n) \\
        v_t &= m_t \odot \tanh c_t, \qquad y_t = o_t \odot \tanh c_t

    It is not the :class:`MassConservingLSTMCell`, which has the same initials.

    Sources: the paper's abstract, and its equations as in two independent ports; its text, its
    initialisation and code by the authors could not be found.
    """

    gate_nonlinearity: Activation = "sigmoid"
    cell_nonlinearity: Activation = "tanh"

    @staticmethod
    def step(
        v: State,
        c: State,
        f: Gate,
        i: Gate,
        o: Gate,
        m: Gate,
        n: Gate,
        gate_nonlinearity: GateNonlinearity,
        cell_nonlinearity: Nonlinearity,
    ) -> tuple[Output, Tensor, Tensor]:
        f, i = gate_nonlinearity(f), gate_nonlinearity(i)
        o, m = gate_nonlinearity(o), gate_nonlinearity(m)
        c = f * c + i * cell_nonlinearity(n)
        return o * tanh(c), m * tanh(c), c


class MCLSTM(RecurrentLayer, cell=MCLSTMCell): ...
