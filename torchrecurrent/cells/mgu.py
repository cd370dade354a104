"""The minimal gated unit (Zhou et al., 2016)."""

from torch import Tensor

from ..activations import Activation
from ..cell import BaseRecurrentCell
from ..layers.named import RecurrentLayer
from ..roles import Gate, GateNonlinearity, Map, Nonlinearity, Projected, State

__all__ = ["MGU", "MGUCell"]


class MGUCell(BaseRecurrentCell, citation="zhou2016minimal", family="one-gate"):
    r"""Minimal gated unit [zhou2016minimal]_.

    A GRU with one gate that both resets and updates: two thirds of its parameters, often the same
    accuracy.

    .. math::
        f_t &= \sigma(W_f x_t + b_f + U_f h_{t-1} + d_f) \\
        \tilde h_t &= \phi(W_n x_t + b_n + U (f_t \odot h_{t-1}) + d_U) \\
        h_t &= (1 - f_t) \odot h_{t-1} + f_t \odot \tilde h_t

    Sources: the paper; no code by the authors was found, and its initialisation could not be
    checked.
    """

    nonlinearity: Activation = "tanh"
    gate_nonlinearity: Activation = "sigmoid"

    @staticmethod
    def step(
        h: State,
        f: Gate,
        n: Projected,
        U: Map,
        nonlinearity: Nonlinearity,
        gate_nonlinearity: GateNonlinearity,
    ) -> Tensor:
        f = gate_nonlinearity(f)
        n = nonlinearity(n + U(f * h))
        return (1 - f) * h + f * n


class MGU(RecurrentLayer, cell=MGUCell): ...
