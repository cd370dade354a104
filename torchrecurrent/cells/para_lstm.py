"""The diagonal LSTM of ParaRNN (Danieli et al., 2025)."""

from torch import Tensor, sigmoid, tanh

from ..cell import BaseRecurrentCell, Recurrence
from ..init import Initializer, power_law, variance_scaling
from ..layers.named import RecurrentLayer
from ..roles import Gate, Peephole, State

__all__ = ["ParaLSTM", "ParaLSTMCell"]


class ParaLSTMCell(BaseRecurrentCell, citation="danieli2025pararnn", family="input-gated"):
    r"""LSTM with a diagonal recurrence and coupled gates, ParaLSTM [danieli2025pararnn]_.

    An LSTM with peepholes whose input gate is what its forget gate leaves; like the
    :class:`ParaGRUCell` it takes all products for all steps at once.

    .. math::
        f_t &= \sigma(W_f x_t + b_f + u_f \odot h_{t-1} + p_f \odot c_{t-1}) \\
        c_t &= f_t \odot c_{t-1} + (1 - f_t) \odot \tanh(W_g x_t + b_g + u_g \odot h_{t-1}) \\
        o_t &= \sigma(W_o x_t + b_o + u_o \odot h_{t-1} + p_o \odot c_t) \\
        h_t &= o_t \odot \tanh c_t

    Sources: as for :class:`ParaGRUCell`, ``pararnn/rnn_cell/lstm_cifg_diag_mh.py``.
    """

    recurrence: Recurrence = "diagonal"
    recurrent_bias: bool | None = False
    recurrent_kernel_init: Initializer = variance_scaling(0.8, mode="fan_out")
    peephole_kernel_init: Initializer = variance_scaling(0.8, mode="fan_out")
    first = {"f": power_law(0.0, -1.0, 1.0)}

    @staticmethod
    def step(
        h: State, c: State, f: Gate, o: Gate, g: Gate, p_f: Peephole, p_o: Peephole
    ) -> tuple[Tensor, Tensor]:
        f = sigmoid(f + p_f * c)
        c = f * c + (1 - f) * tanh(g)
        o = sigmoid(o + p_o * c)
        return o * tanh(c), c


class ParaLSTM(RecurrentLayer, cell=ParaLSTMCell): ...
