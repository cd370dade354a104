"""The minimal recurrent network (Chen, 2017)."""

from typing import Annotated

from torch import Tensor

from ..activations import Activation
from ..cell import BaseRecurrentCell
from ..init import Initializer
from ..layers.named import RecurrentLayer
from ..roles import (
    Function,
    GateNonlinearity,
    Hidden,
    MapRole,
    Nonlinearity,
    Projected,
    State,
    Weight,
)

__all__ = ["MinimalRNN", "MinimalRNNCell"]

#: A map of the encoded input, so it is not part of the recurrence.
Memory = Annotated[Function, MapRole(Weight("weight_mm", None, "memory_"), always_dense=True)]


class MinimalRNNCell(BaseRecurrentCell, citation="chen2017minimalrnn", family="additive"):
    r"""Minimal recurrent cell [chen2017minimalrnn]_.

    The input is encoded first; one gate averages the state with the code, so a state stays within
    the space of codes. Use it where the state should be interpretable.

    .. math::
        z_t &= \phi(W_z x_t + b_z), \qquad u_t = \sigma(U_u h_{t-1} + d_u + M z_t) \\
        h_t &= u_t \odot h_{t-1} + (1 - u_t) \odot z_t

    Sources: the paper's equations as in two independent ports, where the gate sees the code of the
    present input; neither code by the author nor his initialisation was found.
    """

    nonlinearity: Activation = "tanh"
    gate_nonlinearity: Activation = "sigmoid"
    memory_kernel_init: Initializer = "xavier_uniform"

    @staticmethod
    def step(
        h: State,
        z: Projected,
        u: Hidden,
        M: Memory,
        nonlinearity: Nonlinearity,
        gate_nonlinearity: GateNonlinearity,
    ) -> Tensor:
        z = nonlinearity(z)
        u = gate_nonlinearity(u + M(z))
        return u * h + (1 - u) * z


class MinimalRNN(RecurrentLayer, cell=MinimalRNNCell): ...
