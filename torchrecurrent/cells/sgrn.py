"""The simple gated recurrent network (Zu and Wei, 2020)."""

from torch import Tensor, sigmoid, tanh

from ..cell import BaseRecurrentCell
from ..layers.named import RecurrentLayer
from ..roles import Hidden, Projected, State

__all__ = ["SGRN", "SGRNCell"]


class SGRNCell(BaseRecurrentCell, citation="zu2020simple", family="one-gate"):
    r"""Simple gated recurrent network [zu2020simple]_.

    The gate and the candidate share the projected input, so it has a third of a GRU's parameters.
    It was designed for events in mains voltage, on small devices.

    .. math::
        p_t &= W_p x_t + b_p \\
        f_t &= \sigma(p_t + U_q h_{t-1} + d_q) \\
        h_t &= \tanh((1 - f_t) \odot p_t + f_t \odot h_{t-1})

    Sources: the paper's equations as quoted in the issues of RecurrentLayers.jl; no code by the
    authors was found, and the initialisation could not be checked. Its candidate has no bias, as
    with ``bias=False, recurrent_bias=True``.
    """

    @staticmethod
    def step(h: State, p: Projected, q: Hidden) -> Tensor:
        f = sigmoid(p + q)
        return tanh((1 - f) * p + f * h)


class SGRN(RecurrentLayer, cell=SGRNCell): ...
