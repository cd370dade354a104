"""Strongly-typed recurrent networks (Balduzzi and Ghifary, 2016)."""

from __future__ import annotations

from typing import Annotated, ClassVar

from torch import Tensor

from ..activations import Activation
from ..cell import BaseRecurrentCell
from ..named_layer import RecurrentLayer
from ..roles import (
    INPUT,
    RECURRENT,
    GateNonlinearity,
    Nonlinearity,
    ProductRole,
    Raw,
    State,
    StateRole,
)

__all__ = ["TGRU", "TGRUCell"]

Previous = Annotated[Tensor, StateRole("input_size")]
#: W x + b + V x_prev + d
Pair = Annotated[Tensor, ProductRole(INPUT, RECURRENT, "x_prev")]


class TGRUCell(BaseRecurrentCell):
    r"""Strongly-typed GRU [balduzzi2016strongly]_.

    Gates see the present and the previous input, never the state, which is therefore an
    elementwise linear recurrence: every product can be taken for all steps at once.

    .. math::
        z_t &= W_z x_t + b_z + V_z x_{t-1} + d_z \\
        f_t &= \sigma(W_f x_t + b_f + V_f x_{t-1} + d_f) \\
        o_t &= \tau(W_o x_t + b_o + V_o x_{t-1} + d_o) \\
        h_t &= f_t \odot h_{t-1} + z_t \odot o_t

    States: h, and the previous input, of width I.

    Args:
        gate_nonlinearity: :math:`\sigma`.
        output_nonlinearity: :math:`\tau`.

    Initialisation: Xavier-uniform kernels, one gate at a time; biases zero. What the paper
    used, and whether its z has a bias, could not be checked.

    Sources: the paper; no code of the authors' was found.
    """

    gate_nonlinearity: Activation = "sigmoid"
    output_nonlinearity: Activation = "tanh"
    citation: ClassVar[str] = "balduzzi2016strongly"

    @staticmethod
    def step(
        h: State,
        x_prev: Previous,
        x: Raw,
        z: Pair,
        f: Pair,
        o: Pair,
        gate_nonlinearity: GateNonlinearity,
        output_nonlinearity: Nonlinearity,
    ) -> tuple[Tensor, Tensor]:
        f, o = gate_nonlinearity(f), output_nonlinearity(o)
        return f * h + z * o, x


class TGRU(RecurrentLayer, cell=TGRUCell):
    """Stacked :class:`TGRUCell`."""
