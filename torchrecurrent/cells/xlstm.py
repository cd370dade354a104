"""The scalar-memory LSTM of xLSTM (Beck et al., 2024)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, exp, maximum, minimum, sigmoid, tanh, where
from torch.nn.functional import logsigmoid

from ..cell import BaseRecurrentCell
from ..init import Initializer, power_law, variance_scaling
from ..named_layer import RecurrentLayer
from ..roles import Gate, State

__all__ = ["sLSTM", "sLSTMCell"]


class sLSTMCell(BaseRecurrentCell):
    r"""Scalar-memory LSTM with exponential gates [beck2024xlstm]_.

    An exponential input gate can overrule all that was stored before; the normaliser n
    keeps the output in (-1, 1), the stabiliser m keeps the exponentials finite.

    .. math::
        \tilde i_t &= W_i x_t + b_i + R_i h_{t-1} + d_i \quad\text{and so}\quad
            \tilde f_t, \tilde z_t, \tilde o_t \\
        m_t &= \max(\log \sigma(\tilde f_t) + m_{t-1},\ \tilde i_t) \\
        i'_t &= \exp(\tilde i_t - m_t) \\
        f'_t &= \exp(\log \sigma(\tilde f_t) + m_{t-1} - m_t) \\
        c_t &= f'_t \odot c_{t-1} + i'_t \odot \tanh(\tilde z_t) \\
        n_t &= f'_t \odot n_{t-1} + i'_t \\
        h_t &= \sigma(\tilde o_t) \odot c_t / n_t

    States: h, c, n and m. Where n is 0, as before the first step, :math:`m_t = \tilde i_t`
    and the exponent of :math:`f'_t` is at most 0; elsewhere it is so by itself.

    Args:
        num_heads: the recurrent kernels R are block-diagonal with this many blocks; it
            divides the hidden size. The authors' layer has 4.

    Initialisation: R zero; W from :math:`N(0, 2/(5I))`; biases zero, the forget gate's
    falling from 5 to -7 over the units of each head, as in the first block of the
    authors' network. Their layer has more around this cell (a convolution before i and f,
    input kernels that are block-diagonal too, a group norm after h).

    Sources: the authors' repository NX-AI/xlstm, ``xlstm/blocks/slstm/cell.py`` and
    ``src/cuda/slstm_pointwise.cu``, which tests n for zero unit by unit, as here.
    """

    kernel_init: Initializer = variance_scaling(0.4)
    recurrent_kernel_init: Initializer = "zeros"
    citation: ClassVar[str] = "beck2024xlstm"
    family: ClassVar[str] = "LSTM-like"
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
        """What the bias of f begins with: the same in each head."""
        return power_law(5.0, -7.0, 0.3, self.num_heads)


class sLSTM(RecurrentLayer, cell=sLSTMCell):
    """Stacked :class:`sLSTMCell`."""
