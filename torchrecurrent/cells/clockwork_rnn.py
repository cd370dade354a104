"""The clockwork RNN (Koutník et al., 2014)."""

from typing import Annotated, cast

import torch
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

    A simple network in modules, each of which is updated at its own period only and sees itself and
    those that are slower. Slow ones remember over few updates. Use it for long signals with
    structure at several rates, where an RNN should stay small.

    .. math::
        h_t &= \begin{cases} \tanh(W_n x_t + b_n + U_n h_{t-1}) & \text{if } s_{t-1} < 1 \\
            h_{t-1} & \text{otherwise} \end{cases} \\
        s_t &= \begin{cases} s_{t-1} + T - 1 & \text{if } s_{t-1} < 1 \\
            s_{t-1} - 1 & \text{otherwise} \end{cases}

    where T is the period of a unit's module and s the number of steps until its next update. From
    a state of zeros all units are updated at the first step, and then whenever their period
    divides the number of steps since. From a unit j to a unit i, :math:`U_n` counts only where
    :math:`T_i \le T_j`; elsewhere what ``weight_hh`` has is taken for zero.

    Args:
        periods: the period of each module, in steps. The modules have equal shares of the units, in
            order, as far as their number allows.
        frozen: by default T, ``weight_period``, is not trained. It has no gradient that could
            train it.

    Sources: the layer ``brainstorm/layers/clockwork_layer.py`` of the authors' laboratory,
    IDSIA/brainstorm, whose kernel is masked by its users; the initialisation is the paper's, from
    memory. All units are computed at every step, so that the paper's gain in speed is not one here.
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
        periods = torch.tensor(self.periods)
        module = torch.arange(self.hidden_size) * len(periods) // self.hidden_size
        return lambda weight: weight.copy_(periods[module])

    def recurrent_kernel(self) -> Tensor:
        return to_lower(super().recurrent_kernel(), cast("Tensor", self.weight_period))


class ClockworkRNN(RecurrentLayer, cell=ClockworkRNNCell): ...
