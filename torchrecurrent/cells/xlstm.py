"""The LSTMs of xLSTM, one with numbers and one with matrices (Beck et al., 2024)."""

from torch import Tensor, abs, exp, maximum, minimum, nn, sigmoid, tanh, where
from torch.nn.functional import logsigmoid

from ..cell import BaseRecurrentCell
from ..heads import HeadGate, HeadState, HeadSum, MatrixCell, ToKeys, ToValues
from ..init import Initializer, normal, power_law, variance_scaling
from ..layers.named import RecurrentLayer
from ..roles import Columns, Constant, Fold, Gate, MatrixState, Output, Projected, Rows, State

__all__ = ["mLSTM", "mLSTMCell", "sLSTM", "sLSTMCell"]


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


class mLSTMCell(MatrixCell, citation="beck2024xlstm", family="LSTM-like"):
    r"""Matrix-memory LSTM with exponential gates [beck2024xlstm]_.

    A head stores values in a matrix, each under a key, and a query reads them again. It remembers
    far more than one number a unit can; no gate sees the past. Use it for recall of many pairs, in
    deep stacks, with :class:`sLSTM` where gates have to see the state.

    .. math::
        q_t &= W_q x_t + b_q \quad\text{and so}\quad
            \tilde k_t, v_t, \tilde o_t, \tilde i_t, \tilde f_t \\
        k_t &= \tilde k_t / \sqrt d \\
        m_t &= \max(\log \sigma(\tilde f_t) + m_{t-1},\ \tilde i_t) \\
        i_t &= \exp(\tilde i_t - m_t), \qquad
            f_t = \exp(\log\sigma(\tilde f_t) + m_{t-1} - m_t) \\
        C_t &= f_t C_{t-1} + i_t k_t v_t^\top, \qquad n_t = f_t n_{t-1} + i_t k_t \\
        h_t &= \sigma(\tilde o_t) \odot
            \frac{C_t^\top q_t}{\max(|n_t^\top q_t|,\ e^{-m_t}) + \epsilon}

    Each of ``num_heads`` heads has a share of q, k, v, o and n, a matrix C and one number i, f
    and m; :math:`d` is the width of its key. The state has the matrices row by row. The keys and
    queries of all heads take turns, number by number; values lie head by head.

    Args:
        epsilon: :math:`\epsilon`.

    Sources: NX-AI/xlstm, ``recurrent_step_stabilized_simple`` in
    ``xlstm/blocks/mlstm/backends.py``, and for the initialisation ``cell.py`` and ``layer.py``. The
    gate o is the paper's; their block has a norm and the SiLU of another branch there, a
    convolution before q and k, and gates i and f that see q, k and v in place of the input.
    """

    epsilon: float = 1e-6
    kernel_init: Initializer = variance_scaling(0.4)
    bias_init: Initializer = "zeros"
    first = {
        "weight_ih.i": nn.init.zeros_,
        "weight_ih.f": nn.init.zeros_,
        "i": normal(0.1),
        "f": power_law(3.0, 6.0, 1.0),
    }

    @staticmethod
    def step(
        C: MatrixState,
        n: State,
        m: HeadState,
        q: Projected,
        k: Projected,
        v: Projected,
        o: Projected,
        i: HeadGate,
        f: HeadGate,
        rows: Rows,
        columns: Columns,
        fold: Fold,
        heads: HeadSum,
        keys: ToKeys,
        values: ToValues,
        scale: Constant,
        epsilon: Constant,
    ) -> tuple[Output, Tensor, Tensor, Tensor]:
        l = logsigmoid(f) + m
        m = maximum(l, i)
        i, f = exp(i - m), exp(l - m)
        k = keys(i) * k / scale
        C = columns(values(f)) * C + rows(k) * columns(v)
        n = keys(f) * n + k
        size = maximum(abs(heads(n * q)), exp(-m)) + epsilon
        return sigmoid(o) * fold(rows(q) * C) / values(size), C, n, m


class mLSTM(RecurrentLayer, cell=mLSTMCell): ...
