"""The exponential RNN (Lezcano-Casado and Martinez-Rubio, 2019)."""

from typing import Annotated

from torch import Tensor, relu, sign

from ..cell import BaseRecurrentCell
from ..constraints import orthogonal
from ..init import Initializer, henaff_, uniform
from ..layers.named import RecurrentLayer
from ..roles import Gate, State, VectorRole, Weight

__all__ = ["ExpRNN", "ExpRNNCell"]

Threshold = Annotated[Tensor, VectorRole(Weight("weight_threshold", None, "threshold_"))]


class ExpRNNCell(BaseRecurrentCell, citation="lezcano2019cheap", family="simple"):
    r"""Exponential RNN, expRNN [lezcano2019cheap]_.

    Its recurrent kernel is a rotation, whatever it learns, and its nonlinearity, modReLU, shifts a
    unit's modulus by a threshold b. Use it to remember over long sequences.

    .. math::
        n_t &= W_n x_t + b_n + U_n h_{t-1}, \qquad U_n = e^{A - A^\top} \\
        h_t &= \operatorname{sign} n_t \odot \mathrm{relu}(|n_t| + b)

    where A is what ``weight_hh`` has above its diagonal.

    Sources: the authors' Lezcano/expRNN, ``orthogonal.py`` and ``initialization.py``, without the
    mode ``dtriv`` and A's own learning rate; it has no bias of the input.
    """

    recurrent_bias: bool | None = False
    kernel_init: Initializer = "kaiming_normal"
    recurrent_kernel_init: Initializer = henaff_
    threshold_kernel_init: Initializer = uniform(-0.01, 0.01)

    @staticmethod
    def step(h: State, n: Gate, b: Threshold) -> Tensor:
        return sign(n) * relu(abs(n) + b)

    def recurrent_kernel(self) -> Tensor:
        return orthogonal(super().recurrent_kernel())


class ExpRNN(RecurrentLayer, cell=ExpRNNCell): ...
