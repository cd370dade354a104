"""The simple gated recurrent network (Zu and Wei, 2020)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, sigmoid, tanh

from ..cell import BaseRecurrentCell
from ..named_layer import RecurrentLayer
from ..roles import Input, Recurrent, State

__all__ = ["SGRN", "SGRNCell"]


class SGRNCell(BaseRecurrentCell):
    r"""Simple gated recurrent network [zu2020simple]_.

    The gate and the candidate share the projected input, so it has a third of a GRU's
    parameters. Made for events in mains voltage, on small devices.

    .. math::
        p_t &= W x_t + b \\
        f_t &= \sigma(p_t + U h_{t-1} + d) \\
        h_t &= \tanh((1 - f_t) \odot p_t + f_t \odot h_{t-1})

    Initialisation: Xavier-uniform kernels, biases zero. What the paper used could not be
    checked. Its candidate has no bias; b is there, and starts at zero, to keep the shapes
    of torchrecurrent 0.2.5, and ``bias=False, recurrent_bias=True`` is the paper's cell.

    Sources: the paper's equations as the issues of RecurrentLayers.jl quote them; no code
    of the authors' was found.
    """

    citation: ClassVar[str] = "zu2020simple"
    family: ClassVar[str] = "one-gate"

    @staticmethod
    def step(h: State, p: Input, q: Recurrent) -> Tensor:
        f = sigmoid(p + q)
        return tanh((1 - f) * p + f * h)


class SGRN(RecurrentLayer, cell=SGRNCell):
    """Stacked :class:`SGRNCell`."""
