"""Strongly-typed recurrent networks (Balduzzi and Ghifary, 2016)."""

from typing import Annotated

from torch import Tensor

from ..activations import Activation
from ..cell import BaseRecurrentCell
from ..layers.named import RecurrentLayer
from ..roles import (
    INPUT,
    RECURRENT,
    GateNonlinearity,
    Input,
    Nonlinearity,
    Output,
    ProductRole,
    Projected,
    State,
    StateRole,
)

__all__ = ["TGRU", "TLSTM", "TRNN", "TGRUCell", "TLSTMCell", "TRNNCell"]

Previous = Annotated[Tensor, StateRole("input_size")]
#: W x + b + V x_prev + d
Pair = Annotated[Tensor, ProductRole(INPUT, RECURRENT, "x_prev")]


class TRNNCell(BaseRecurrentCell, citation="balduzzi2016strongly", family="input-gated"):
    r"""Strongly-typed plain network, T-RNN [balduzzi2016strongly]_.

    A moving average of its projected input, whose weights are learned from the input: the state
    itself is never multiplied by a matrix. Use it as a cheap first layer, or to see for how much
    of a task that is enough.

    .. math::
        z_t &= W_z x_t + b_z, \qquad f_t = \sigma(W_f x_t + b_f) \\
        h_t &= f_t \odot h_{t-1} + (1 - f_t) \odot z_t

    Sources: the paper's equations as in a TensorFlow port; no code by the authors was found, and
    the initialisation could not be checked. The paper's z has no bias; here it starts at zero.
    """

    gate_nonlinearity: Activation = "sigmoid"

    @staticmethod
    def step(h: State, z: Projected, f: Projected, gate_nonlinearity: GateNonlinearity) -> Tensor:
        f = gate_nonlinearity(f)
        return f * h + (1 - f) * z


class TRNN(RecurrentLayer, cell=TRNNCell): ...


class TGRUCell(BaseRecurrentCell, citation="balduzzi2016strongly", family="input-gated"):
    r"""Strongly-typed GRU [balduzzi2016strongly]_.

    Gates see the present and the previous input, never the state, which is therefore an elementwise
    linear recurrence: every product can be computed for all steps at once.

    .. math::
        z_t &= W_z x_t + b_z + U_z x_{t-1} + d_z \\
        f_t &= \sigma(W_f x_t + b_f + U_f x_{t-1} + d_f) \\
        o_t &= \phi(W_o x_t + b_o + U_o x_{t-1} + d_o) \\
        h_t &= f_t \odot h_{t-1} + z_t \odot o_t

    Args:
        output_nonlinearity: :math:`\phi`.

    Sources: the paper's equations as in other implementations; no code by the authors was found.
    The initialisation, and whether its z has a bias, could not be checked.
    """

    gate_nonlinearity: Activation = "sigmoid"
    output_nonlinearity: Activation = "tanh"

    @staticmethod
    def step(
        h: State,
        x_prev: Previous,
        x: Input,
        z: Pair,
        f: Pair,
        o: Pair,
        gate_nonlinearity: GateNonlinearity,
        output_nonlinearity: Nonlinearity,
    ) -> tuple[Tensor, Tensor]:
        f, o = gate_nonlinearity(f), output_nonlinearity(o)
        return f * h + z * o, x


class TGRU(RecurrentLayer, cell=TGRUCell): ...


class TLSTMCell(BaseRecurrentCell, citation="balduzzi2016strongly", family="input-gated"):
    r"""Strongly-typed LSTM, T-LSTM [balduzzi2016strongly]_; not the time-aware LSTM.

    Its cell state is a moving average, like the T-RNN's, with gates that see the present and the
    previous input; the output gate decides which part of it is shown. Every product can be
    computed for all steps at once.

    .. math::
        z_t &= W_z x_t + b_z + U_z x_{t-1} + d_z \\
        f_t &= \sigma(W_f x_t + b_f + U_f x_{t-1} + d_f) \\
        o_t &= \phi(W_o x_t + b_o + U_o x_{t-1} + d_o) \\
        c_t &= f_t \odot c_{t-1} + (1 - f_t) \odot z_t \\
        y_t &= c_t \odot o_t

    Args:
        output_nonlinearity: :math:`\phi`.

    Outputs: ``(y, (c, x))``, where y is the paper's h.

    Sources: as for :class:`TGRUCell`.
    """

    gate_nonlinearity: Activation = "sigmoid"
    output_nonlinearity: Activation = "tanh"

    @staticmethod
    def step(
        c: State,
        x_prev: Previous,
        x: Input,
        z: Pair,
        f: Pair,
        o: Pair,
        gate_nonlinearity: GateNonlinearity,
        output_nonlinearity: Nonlinearity,
    ) -> tuple[Output, Tensor, Tensor]:
        f, o = gate_nonlinearity(f), output_nonlinearity(o)
        c = f * c + (1 - f) * z
        return c * o, c, x


class TLSTM(RecurrentLayer, cell=TLSTMCell): ...
