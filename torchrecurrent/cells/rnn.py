"""The simple recurrent network of Elman (1990)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from ..activations import Activation
from ..cell import BaseRecurrentCell
from ..init import Initializer
from ..named_layer import RecurrentLayer
from ..roles import Gate, Nonlinearity, State

__all__ = ["RNN", "RNNCell"]


class RNNCell(BaseRecurrentCell):
    r"""Simple recurrent cell [elman1990finding]_.

    The cell of :class:`torch.nn.RNNCell`, parameter for parameter. Use it as a baseline,
    or with ``recurrent_kernel_init="orthogonal"`` or ``"eye"`` where gates are too dear.

    .. math::
        h_t = \phi(W x_t + b + U h_{t-1} + d)

    Args:
        nonlinearity: :math:`\phi`.

    Initialisation: all parameters from :math:`U(-1/\sqrt H, 1/\sqrt H)`, as in torch.
    """

    nonlinearity: Activation = "tanh"
    kernel_init: Initializer = "hidden_uniform"
    recurrent_kernel_init: Initializer = "hidden_uniform"
    bias_init: Initializer = "hidden_uniform"
    recurrent_bias_init: Initializer = "hidden_uniform"
    citation: ClassVar[str] = "elman1990finding"
    family: ClassVar[str] = "simple"

    @staticmethod
    def step(h: State, n: Gate, nonlinearity: Nonlinearity) -> Tensor:
        return nonlinearity(n)


class RNN(RecurrentLayer, cell=RNNCell):
    """Stacked :class:`RNNCell`; loads a :class:`torch.nn.RNN` state dict."""
