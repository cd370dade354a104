"""The residual LSTM (Kim, El-Khamy and Lee, 2017)."""

from typing import Annotated

from torch import Tensor

from ..activations import Activation
from ..cell import BaseRecurrentCell
from ..init import Initializer, xavier_vector_
from ..layers.named import RecurrentLayer
from ..roles import (
    Function,
    Gate,
    GateNonlinearity,
    Input,
    MapRole,
    Nonlinearity,
    Peephole,
    State,
    Weight,
)

__all__ = ["ResLSTM", "ResLSTMCell"]


# The initialisers' names are those of torchrecurrent 0.2.5.
PROJECTION = Weight("weight_proj", None, "proj_", "proj_init")
RESIDUAL = Weight("weight_res", None, "residual_", "residual_init")
Projection = Annotated[Function, MapRole(PROJECTION)]
#: A map that is not part of the recurrence and is as wide as the input.
Shortcut = Annotated[Function, MapRole(RESIDUAL, columns="input_size", always_dense=True)]


class ResLSTMCell(BaseRecurrentCell, citation="kim2017residual", family="LSTM-like"):
    r"""Residual LSTM [kim2017residual]_.

    An LSTM with peepholes whose input also takes a shortcut past the cell state to the output,
    under the same output gate, so that gradients pass down a deep stack. Use it for stacks of ten
    layers, as in speech recognition.

    .. math::
        i_t &= \sigma(W_i x_t + b_i + U_i h_{t-1} + d_i + p_i \odot c_{t-1}) \text{ and so } f_t \\
        c_t &= f_t \odot c_{t-1} + i_t \odot \phi(W_g x_t + b_g + U_g h_{t-1} + d_g) \\
        o_t &= \sigma(W_o x_t + b_o + U_o h_{t-1} + d_o + p_o \odot c_t) \\
        h_t &= o_t \odot (P\, \phi(c_t) + R x_t)

    Args:
        residual_init: initialiser of R, ``weight_res``. The paper lets R be the identity where
            input and state are equally wide: ``residual_init="eye"`` starts there.

    Sources: the paper's equations as in two ports, RecurrentLayers.jl's
    ``src/cells/reslstm_cell.jl`` among them; no code by the authors was found, and its
    initialisation could not be checked. There h may be narrower than c, and the output gate sees c
    through a matrix; here both are H wide and each unit sees its own c.
    """

    nonlinearity: Activation = "tanh"
    gate_nonlinearity: Activation = "sigmoid"
    peephole_kernel_init: Initializer = xavier_vector_
    proj_init: Initializer = "xavier_uniform"
    residual_init: Initializer = "xavier_uniform"

    @staticmethod
    def step(
        h: State,
        c: State,
        x: Input,
        i: Gate,
        f: Gate,
        g: Gate,
        o: Gate,
        p_i: Peephole,
        p_f: Peephole,
        p_o: Peephole,
        P: Projection,
        R: Shortcut,
        nonlinearity: Nonlinearity,
        gate_nonlinearity: GateNonlinearity,
    ) -> tuple[Tensor, Tensor]:
        i = gate_nonlinearity(i + p_i * c)
        f = gate_nonlinearity(f + p_f * c)
        c = f * c + i * nonlinearity(g)
        o = gate_nonlinearity(o + p_o * c)
        s = nonlinearity(c)
        return o * (P(s) + R(x)), c


class ResLSTM(RecurrentLayer, cell=ResLSTMCell): ...
