"""The scalar-memory LSTM of xLSTM (Beck et al., 2024)."""

from torch import Tensor, exp, maximum, minimum, sigmoid, tanh, where
from torch.nn.functional import logsigmoid

from ..cell import BaseRecurrentCell
from ..init import Initializer, power_law, variance_scaling
from ..layers.named import RecurrentLayer
from ..roles import Gate, State

__all__ = ["sLSTM", "sLSTMCell"]


class sLSTMCell(BaseRecurrentCell, citation="beck2024xlstm", family="LSTM-like"):
    r"""Scalar-memory LSTM with exponential gates [beck2024xlstm]_.

    An exponential input gate can override everything stored before; the normaliser n keeps the
    output in (-1, 1), and the stabiliser m keeps the exponentials finite.

    .. math::
        \tilde k_t &= W_k x_t + b_k + U_k h_{t-1} + d_k \quad\text{for } k = i, f, z, o \\
        m_t &= \max(\log \sigma(\tilde f_t) + m_{t-1},\ \tilde i_t) \\
        i'_t &= \exp(\tilde i_t - m_t), \quad f'_t = \exp(\log\sigma(\tilde f_t) + m_{t-1} - m_t) \\
        c_t &= f'_t \odot c_{t-1} + i'_t \odot \tanh \tilde z_t \\
        n_t &= f'_t \odot n_{t-1} + i'_t \\
        h_t &= \sigma(\tilde o_t) \odot c_t / n_t

    If n is 0, as before the first step, :math:`m_t = \tilde i_t` and the exponent of :math:`f'_t`
    is clamped to at most 0; otherwise it is at most 0 anyway. The authors' R has 4 heads.

    Sources: NX-AI/xlstm, ``xlstm/blocks/slstm/cell.py`` and ``src/cuda/slstm_pointwise.cu``, with a
    convolution before i and f, a group norm after h and a block-diagonal W around it.
    """

    kernel_init: Initializer = variance_scaling(0.4)
    recurrent_kernel_init: Initializer = "zeros"
    first = {"f": "falling"}

    @staticmethod
    def step(
        h: State, c: State, n: State, m: State, i: Gate, f: Gate, z: Gate, o: Gate
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        l = logsigmoid(f) + m
        m = where(n == 0, i, maximum(l, i))
        i, f = exp(i - m), exp(minimum(l, m) - m)
        c = f * c + i * tanh(z)
        n = f * n + i
        h = sigmoid(o) * c / n
        return h, c, n, m

    @property
    def falling(self) -> Initializer:
        """``power_law(5, -7, 0.3, num_heads)`` for the bias of f, as in the authors' block."""
        return power_law(5.0, -7.0, 0.3, self.num_heads)


class sLSTM(RecurrentLayer, cell=sLSTMCell): ...
