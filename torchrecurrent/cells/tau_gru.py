"""The GRU with weighted time-delay feedback (Erichson, Lim and Mahoney, 2022)."""

from typing import Annotated

from torch import Tensor

from ..activations import Activation
from ..cell import BaseRecurrentCell
from ..init import Initializer
from ..layers.named import RecurrentLayer
from ..roles import (
    INPUT,
    RECURRENT,
    Delayed,
    Gate,
    GateNonlinearity,
    Nonlinearity,
    ProductRole,
    State,
)

__all__ = ["tauGRU", "tauGRUCell"]

#: W x + b + U h_delayed + d
DelayedGate = Annotated[Tensor, ProductRole(INPUT, RECURRENT, "h_delayed")]


class tauGRUCell(BaseRecurrentCell, citation="erichson2022gated", family="time-delay"):
    r"""GRU with weighted time-delay feedback [erichson2022gated]_.

    A second candidate sees the state :math:`\tau` steps back, a skip connection through time for
    signals with a known lag or period.

    .. math::
        u_t &= \phi(W_u x_t + b_u + U_u h_{t-1} + d_u) \\
        z_t &= \phi(W_z x_t + b_z + U_z h_{t-1-\tau} + d_z) \\
        g_t &= \sigma(W_g x_t + b_g + U_g h_{t-1} + d_g) \quad\text{and so}\quad a_t \\
        h_t &= (1 - g_t) \odot h_{t-1} + g_t \odot (u_t + a_t \odot z_t)

    States: h, and the delay line of the last :math:`\tau` states, oldest first, of width
    :math:`\tau H`. It is passed on like any state, so a sequence may be cut anywhere.

    Args:
        delay: :math:`\tau`, in steps.

    Sources: the paper's equations as in two independent ports; the authors' repository could not
    be read. Research code that seems to be theirs starts from the same distribution, and lets
    z and a see the delayed input and state.
    """

    delay: int = 1
    nonlinearity: Activation = "tanh"
    gate_nonlinearity: Activation = "sigmoid"
    kernel_init: Initializer = "hidden_uniform"
    recurrent_kernel_init: Initializer = "hidden_uniform"
    bias_init: Initializer = "hidden_uniform"
    recurrent_bias_init: Initializer = "hidden_uniform"

    @staticmethod
    def step(
        h: State,
        h_delayed: Delayed,
        u: Gate,
        z: DelayedGate,
        g: Gate,
        a: Gate,
        nonlinearity: Nonlinearity,
        gate_nonlinearity: GateNonlinearity,
    ) -> Tensor:
        u, z = nonlinearity(u), nonlinearity(z)
        g, a = gate_nonlinearity(g), gate_nonlinearity(a)
        return (1 - g) * h + g * (u + a * z)


class tauGRU(RecurrentLayer, cell=tauGRUCell): ...
