"""The LSTM with peephole connections (Gers, Schraudolph and Schmidhuber, 2002)."""

from torch import Tensor

from ..activations import Activation
from ..cell import BaseRecurrentCell
from ..init import Initializer, xavier_vector_
from ..layers.named import RecurrentLayer
from ..roles import Gate, GateNonlinearity, Nonlinearity, Peephole, State

__all__ = ["PeepholeLSTM", "PeepholeLSTMCell"]


class PeepholeLSTMCell(BaseRecurrentCell, citation="gers2002learning", family="LSTM-like"):
    r"""LSTM whose gates see the cell state [gers2002learning]_.

    The input and forget gates see the old cell state, the output gate the new one, each unit its
    own. Use it where intervals must be timed precisely.

    .. math::
        i_t &= \sigma(W_i x_t + b_i + U_i h_{t-1} + d_i + p_i \odot c_{t-1}) \text{ and so } f_t \\
        c_t &= f_t \odot c_{t-1} + i_t \odot \phi(W_g x_t + b_g + U_g h_{t-1} + d_g) \\
        o_t &= \sigma(W_o x_t + b_o + U_o h_{t-1} + d_o + p_o \odot c_t) \\
        h_t &= o_t \odot \phi(c_t)

    Sources: TensorFlow's ``rnn_cell_impl.py``, class LSTMCell, and TensorFlow Addons'
    ``peephole_lstm_cell.py``, whose initialisation this is; the paper does not squash :math:`c_t`
    at the output.
    """

    nonlinearity: Activation = "tanh"
    gate_nonlinearity: Activation = "sigmoid"
    peephole_kernel_init: Initializer = xavier_vector_
    forget_bias: float = 1.0
    first = {"f": "forget_bias"}

    @staticmethod
    def step(
        h: State,
        c: State,
        i: Gate,
        f: Gate,
        g: Gate,
        o: Gate,
        p_i: Peephole,
        p_f: Peephole,
        p_o: Peephole,
        nonlinearity: Nonlinearity,
        gate_nonlinearity: GateNonlinearity,
    ) -> tuple[Tensor, Tensor]:
        i = gate_nonlinearity(i + p_i * c)
        f = gate_nonlinearity(f + p_f * c)
        c = f * c + i * nonlinearity(g)
        o = gate_nonlinearity(o + p_o * c)
        return o * nonlinearity(c), c


class PeepholeLSTM(RecurrentLayer, cell=PeepholeLSTMCell): ...
