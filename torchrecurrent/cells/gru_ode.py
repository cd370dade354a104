"""The GRU as a differential equation, GRU-ODE (De Brouwer et al., 2019)."""

from torch import Tensor, sigmoid, tanh

from ..cell import BaseRecurrentCell
from ..layers.named import RecurrentLayer
from ..roles import Gap, Gate, Map, Projected, State

__all__ = ["GRUODE", "GRUODECell"]


class GRUODECell(BaseRecurrentCell, citation="debrouwer2019gru", family="ODE"):
    r"""GRU in continuous time, GRU-ODE [debrouwer2019gru]_, by a step of Euler's method.

    The differential equation of which a :class:`GRUResetBeforeCell` is a step of length 1. A state
    between -1 and 1 stays there. Use it for processes that are observed now and then.

    .. math::
        r_t &= \sigma(W_r x_t + b_r + U_r h_{t-1}) \quad\text{and so}\quad z_t \\
        n_t &= \tanh(W_n x_t + b_n + U (r_t \odot h_{t-1})) \\
        h_t &= h_{t-1} + \Delta t\; (1 - z_t) \odot (n_t - h_{t-1})

    Args:
        dt: the time step :math:`\Delta t`; at most 1 for a state that stays within its bounds.

    Sources: the authors' repository edebrouwer/gru_ode_bayes, ``gru_ode_bayes/models.py``, class
    FullGRUODECell; its default has z in place of r. Its other solvers and the update by an
    observation, GRU-Bayes, are not included; where nothing is observed the input is zero.
    """

    dt: float = 0.1
    recurrent_bias: bool | None = False
    first = {"r": 0.05, "z": 0.05, "n": 0.05}

    @staticmethod
    def step(h: State, r: Gate, z: Gate, n: Projected, U: Map, dt: Gap) -> Tensor:
        r, z = sigmoid(r), sigmoid(z)
        n = tanh(n + U(r * h))
        return h + dt * (1 - z) * (n - h)


class GRUODE(RecurrentLayer, cell=GRUODECell): ...
