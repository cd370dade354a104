"""Minion recurrent units (Zyarah and Kudithipudi, 2026)."""

from torch import Tensor

from ..activations import Activation
from ..cell import BaseRecurrentCell
from ..layers.named import RecurrentLayer
from ..roles import Constant, Gate, GateNonlinearity, Map, Nonlinearity, Projected, State

__all__ = ["MiRU1", "MiRU1Cell", "MiRU2", "MiRU2Cell"]


class MiRU1Cell(BaseRecurrentCell, citation="zyarah2026minion", family="one-gate"):
    r"""Minion recurrent unit with a reset gate [zyarah2026minion]_.

    A GRU whose update gate is one constant :math:`\lambda`. Use it on small devices, and where the
    pace of the signal is known.

    .. math::
        r_t &= \sigma(W_r x_t + b_r + U_r h_{t-1} + d_r) \\
        \tilde h_t &= \phi(W_n x_t + b_n + U (r_t \odot h_{t-1}) + d_U) \\
        h_t &= \lambda h_{t-1} + (1 - \lambda) \tilde h_t

    Args:
        update_coefficient: :math:`\lambda`, how much of the state is kept at each step.

    Sources: the paper's equations as quoted in issue 26 of LuxRecurrentLayers.jl, where each unit
    has a :math:`\lambda` of its own; here all share one. No code by the authors was found.
    """

    update_coefficient: float = 0.5
    nonlinearity: Activation = "tanh"
    gate_nonlinearity: Activation = "sigmoid"

    @staticmethod
    def step(
        h: State,
        r: Gate,
        n: Projected,
        U: Map,
        update_coefficient: Constant,
        nonlinearity: Nonlinearity,
        gate_nonlinearity: GateNonlinearity,
    ) -> Tensor:
        r = gate_nonlinearity(r)
        n = nonlinearity(n + U(r * h))
        return update_coefficient * h + (1 - update_coefficient) * n


class MiRU1(RecurrentLayer, cell=MiRU1Cell): ...


class MiRU2Cell(BaseRecurrentCell, citation="zyarah2026minion", family="simple"):
    r"""Minion recurrent unit without gates [zyarah2026minion]_.

    A GRU with constants for both gates, which leaves a leaky recurrent network with a third of the
    parameters.

    .. math::
        \tilde h_t &= \phi(W_n x_t + b_n + U (\theta h_{t-1}) + d_U) \\
        h_t &= \lambda h_{t-1} + (1 - \lambda) \tilde h_t

    Args:
        update_coefficient: :math:`\lambda`, how much of the state is kept at each step.
        reset_coefficient: :math:`\theta`, how much of the state the candidate sees.

    Sources: as for :class:`MiRU1Cell`; there each unit has a :math:`\theta` of its own, too.
    """

    update_coefficient: float = 0.5
    reset_coefficient: float = 0.5
    nonlinearity: Activation = "tanh"

    @staticmethod
    def step(
        h: State,
        n: Projected,
        U: Map,
        update_coefficient: Constant,
        reset_coefficient: Constant,
        nonlinearity: Nonlinearity,
    ) -> Tensor:
        n = nonlinearity(n + U(reset_coefficient * h))
        return update_coefficient * h + (1 - update_coefficient) * n


class MiRU2(RecurrentLayer, cell=MiRU2Cell): ...
