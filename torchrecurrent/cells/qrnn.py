"""The quasi-recurrent network (Bradbury et al., 2017)."""

from typing import Annotated

from torch import Tensor, sigmoid, tanh

from ..cell import BaseRecurrentCell
from ..init import Initializer, variance_scaling
from ..layers.named import RecurrentLayer
from ..roles import INPUT, RECURRENT, Input, Output, ProductRole, State, StateRole

__all__ = ["QRNN", "QRNNCell"]

Previous = Annotated[Tensor, StateRole("input_size")]
#: W x + b + V x_prev: a convolution of width two over the input.
Convolved = Annotated[Tensor, ProductRole(INPUT, RECURRENT, "x_prev")]


class QRNNCell(BaseRecurrentCell, citation="bradbury2017quasi", family="input-gated"):
    r"""Quasi-recurrent cell, QRNN with fo-pooling [bradbury2017quasi]_.

    A convolution over present and previous input makes candidate and gates; only a moving average
    runs through time. Use it in stacks, for text, where an LSTM is too slow.

    .. math::
        z_t &= \tanh(W_z x_t + U_z x_{t-1} + b_z) \\
        f_t &= \sigma(W_f x_t + U_f x_{t-1} + b_f) \quad\text{and so}\quad o_t \\
        c_t &= f_t \odot c_{t-1} + (1 - f_t) \odot z_t, \qquad h_t = o_t \odot c_t

    Sources: the authors' repository salesforce/pytorch-qrnn, ``torchqrnn/qrnn.py``, with
    ``window=2``; its f is 1 - f here, as in the paper's equation, and its biases are drawn like
    its kernels. The paper also has wider convolutions.
    """

    recurrent_bias: bool | None = False
    kernel_init: Initializer = variance_scaling(1 / 6, "uniform")
    recurrent_kernel_init: Initializer = variance_scaling(1 / 6, "uniform")

    @staticmethod
    def step(
        c: State, x_prev: Previous, x: Input, z: Convolved, f: Convolved, o: Convolved
    ) -> tuple[Output, Tensor, Tensor]:
        z, f, o = tanh(z), sigmoid(f), sigmoid(o)
        c = f * c + (1 - f) * z
        return o * c, c, x


class QRNN(RecurrentLayer, cell=QRNNCell): ...
