"""The recurrent additive network (Lee, Levy and Zettlemoyer, 2017)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, sigmoid, tanh

from ..cell import BaseRecurrentCell
from ..named_layer import RecurrentLayer
from ..roles import Bias, Gate, Input, State

__all__ = ["RAN", "RANCell"]


class RANCell(BaseRecurrentCell):
    r"""Recurrent additive network [lee2017recurrent]_.

    An LSTM without a nonlinear candidate: the cell state is a weighted sum of projected
    inputs, so what each input contributes can be read off. Use it for language, where it
    matches an LSTM with fewer parameters.

    .. math::
        \tilde c_t &= W_c x_t \\
        i_t &= \sigma(W_i x_t + b_i + U_i h_{t-1} + d_i) \\
        f_t &= \sigma(W_f x_t + b_f + U_f h_{t-1} + d_f) \\
        c_t &= i_t \odot \tilde c_t + f_t \odot c_{t-1} \\
        h_t &= \tanh c_t

    Initialisation: Xavier-uniform kernels, one gate at a time; biases zero, as in the
    authors' code, whose kernels have TensorFlow's default of then, Xavier-uniform over
    both gates at once.

    Sources: the authors' repository kentonl/ran, ``ran.py``.
    """

    citation: ClassVar[str] = "lee2017recurrent"
    family: ClassVar[str] = "additive"

    @staticmethod
    def step(
        h: State, c: State, n: Input, i: Gate, f: Gate, b_i: Bias, b_f: Bias
    ) -> tuple[Tensor, Tensor]:
        c = sigmoid(i + b_i) * n + sigmoid(f + b_f) * c
        return tanh(c), c


class RAN(RecurrentLayer, cell=RANCell):
    """Stacked :class:`RANCell`."""
