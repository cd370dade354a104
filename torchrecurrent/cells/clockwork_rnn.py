"""The clockwork RNN (Koutník et al., 2014)."""

from typing import Annotated, cast

from torch import Tensor, tanh, where

from ..cell import BaseRecurrentCell
from ..constraints import to_lower
from ..init import Initializer, normal
from ..layers.named import RecurrentLayer
from ..roles import Gate, State, VectorRole, Weight

__all__ = ["ClockworkRNN", "ClockworkRNNCell"]

Period = Annotated[Tensor, VectorRole(Weight("weight_period", None, "period_"))]


class ClockworkRNNCell(BaseRecurrentCell, citation="koutnik2014clockwork", family="simple"):
    r"""Clockwork RNN, CW-RNN [koutnik2014clockwork]_.

    A simple network in modules, each of which is updated at its own period and sees itself and
    slower ones. Use it for long signals with structure at several rates.

    .. math::
        h_t &= \begin{cases} \tanh(W_n x_t + b_n + U_n h_{t-1}) & \text{if } s_{t-1} < 1 \\
            h_{t-1} & \text{otherwise} \end{cases} \\
        s_t &= s_{t-1} - 1 + \begin{cases} T & \text{if } s_{t-1} < 1 \\ 0 & \text{else} \end{cases}

    where T is a unit's period and s the steps until its next update: from zeros on, at the first
    step and each T later. From j to i, :math:`U_n` counts only where :math:`T_i \le T_j`.

    Args:
        periods: the period of each module; their shares of the units are equal, or nearly.

    Sources: the authors' IDSIA/brainstorm, ``brainstorm/layers/clockwork_layer.py``, whose users
    mask its kernel; initialisation from memory. The paper's gain in speed is not included.
    """

    periods: tuple[int, ...] = (1, 2, 4, 8)
    recurrent_bias: bool | None = False
    frozen: tuple[str, ...] = ("weight_period",)
    kernel_init: Initializer = normal(0.1)
    recurrent_kernel_init: Initializer = normal(0.1)

    @staticmethod
    def step(h: State, s: State, n: Gate, T: Period) -> tuple[Tensor, Tensor]:
        return where(s < 1, tanh(n), h), where(s < 1, s + T, s) - 1

    @property
    def period_kernel_init(self) -> Initializer:
        """the period of each unit's module."""
        shares = [k * len(self.periods) // self.hidden_size for k in range(self.hidden_size)]
        return lambda weight: weight.copy_(Tensor([self.periods[k] for k in shares]))

    def recurrent_kernel(self) -> Tensor:
        return to_lower(super().recurrent_kernel(), cast("Tensor", self.weight_period))


class ClockworkRNN(RecurrentLayer, cell=ClockworkRNNCell): ...
