"""The LSTM of ordered neurons (Shen et al., 2019)."""

from typing import Annotated

from torch import Tensor, sigmoid, tanh

from ..cell import BaseRecurrentCell
from ..init import Initializer, variance_scaling
from ..layers.named import RecurrentLayer
from ..roles import INPUT, RECURRENT, AcrossRole, Function, Gate, ProductRole, Softmax, State

__all__ = ["ONLSTM", "ONLSTMCell"]

Master = Annotated[Tensor, ProductRole(INPUT, RECURRENT, rows="chunks")]
Cumsum = Annotated[Function, AcrossRole("cumulative", symbol=r"\mathrm{cumsum}")]
Spread = Annotated[Function, AcrossRole("repeated", "hidden_size", r"\mathrm{spread}")]
#: A layer of torch: uniform up to the root of one by the number of inputs.
LINEAR = variance_scaling(1 / 3, "uniform")


class ONLSTMCell(BaseRecurrentCell, citation="shen2019ordered", family="LSTM-like"):
    r"""LSTM of ordered neurons, ON-LSTM [shen2019ordered]_.

    Two master gates rise or fall along the units: the first are often written anew, the last keep
    what spans a long time. Use it where sequences are nested, as phrases in a language are.

    .. math::
        m_{f,t} &= \mathrm{cumax}(W_{m_f} x_t + b_{m_f} + U_{m_f} h_{t-1} + d_{m_f}) \\
        m_{i,t} &= 1 - \mathrm{cumax}(W_{m_i} x_t + b_{m_i} + U_{m_i} h_{t-1} + d_{m_i}) \\
        i_t &= \sigma(W_i x_t + b_i + U_i h_{t-1} + d_i) \quad\text{and so}\quad f_t, o_t \\
        g_t &= \tanh(W_g x_t + b_g + U_g h_{t-1} + d_g), \qquad
            \omega_t = m_{f,t} \odot m_{i,t} \\
        \tilde f_t &= f_t \odot \omega_t + m_{f,t} - \omega_t, \qquad
            \tilde i_t = i_t \odot \omega_t + m_{i,t} - \omega_t \\
        c_t &= \tilde f_t \odot c_{t-1} + \tilde i_t \odot g_t, \qquad h_t = o_t \odot \tanh c_t

    where cumax is the cumulative sum of the softmax over the units.

    Args:
        chunk_size: how many units, side by side, share the numbers of the master gates.

    Sources: the authors' yikangshen/Ordered-Neurons, ``ON_LSTM.py``, whose biases begin as its
    kernels do; its distances, from which it parses sentences, are not included. The ``dropconnect``
    there is ``weight_dropout``.
    """

    chunk_size: int = 1
    kernel_init: Initializer = LINEAR
    recurrent_kernel_init: Initializer = LINEAR
    recurrent_bias_init: Initializer = "hidden_uniform"

    @staticmethod
    def step(
        h: State,
        c: State,
        m_i: Master,
        m_f: Master,
        o: Gate,
        g: Gate,
        i: Gate,
        f: Gate,
        softmax: Softmax,
        cumsum: Cumsum,
        spread: Spread,
    ) -> tuple[Tensor, Tensor]:
        m_i = spread(1 - cumsum(softmax(m_i)))
        m_f = spread(cumsum(softmax(m_f)))
        omega = m_f * m_i
        f = sigmoid(f) * omega + (m_f - omega)
        i = sigmoid(i) * omega + (m_i - omega)
        c = f * c + i * tanh(g)
        return sigmoid(o) * tanh(c), c

    @property
    def chunks(self) -> int:
        """The number of chunks, each of ``chunk_size`` units."""
        return self.hidden_size // self.chunk_size

    def check_options(self) -> None:
        super().check_options()
        if self.chunk_size < 1 or self.hidden_size % self.chunk_size:
            raise ValueError(
                f"chunk_size should divide hidden_size, {self.hidden_size}, got {self.chunk_size}"
            )


class ONLSTM(RecurrentLayer, cell=ONLSTMCell): ...
