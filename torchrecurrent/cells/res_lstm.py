"""The residual LSTM (Kim, El-Khamy and Lee, 2017)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, ClassVar

from torch import Tensor

from ..activations import Activation
from ..cell import BaseRecurrentCell
from ..init import Initializer, xavier_vector_
from ..named_layer import RecurrentLayer
from ..roles import (
    Gate,
    GateNonlinearity,
    Kernel,
    MapRole,
    Nonlinearity,
    Raw,
    State,
    VectorRole,
)

__all__ = ["ResLSTM", "ResLSTMCell"]


# The initialisers' names are those of torchrecurrent 0.2.5.
PROJECTION = Kernel("weight_proj", None, "proj_", "proj_init")
RESIDUAL = Kernel("weight_res", None, "residual_", "residual_init")
Peephole = Annotated[Tensor, VectorRole(Kernel("weight_ph", None, "peephole_"))]
Projection = Annotated[Callable[[Tensor], Tensor], MapRole(PROJECTION)]
#: No part of the recurrence, and as wide as the input.
Shortcut = Annotated[
    Callable[[Tensor], Tensor], MapRole(RESIDUAL, columns="input_size", always_dense=True)
]


class ResLSTMCell(BaseRecurrentCell):
    r"""Residual LSTM [kim2017residual]_.

    An LSTM with peepholes whose input takes a short cut past the cell state to the output,
    under the same output gate, so that gradients pass down a deep stack. Use it for stacks
    of ten layers, as in speech recognition.

    .. math::
        i_t &= \sigma(W_i x_t + b_i + U_i h_{t-1} + d_i + p_i \odot c_{t-1}) \\
        f_t &= \sigma(W_f x_t + b_f + U_f h_{t-1} + d_f + p_f \odot c_{t-1}) \\
        c_t &= f_t \odot c_{t-1} + i_t \odot \phi(W_g x_t + b_g + U_g h_{t-1} + d_g) \\
        o_t &= \sigma(W_o x_t + b_o + U_o h_{t-1} + d_o + p_o \odot c_t) \\
        s_t &= \phi(c_t) \\
        h_t &= o_t \odot (P s_t + R x_t)

    Args:
        nonlinearity: :math:`\phi`.
        gate_nonlinearity: :math:`\sigma`.
        peephole_kernel_init: initialiser of ``weight_ph``, called once a vector.
        proj_init: initialiser of P, ``weight_proj``.
        residual_init: initialiser of R, ``weight_res``. The paper lets R be the identity
            where input and state are equally wide: ``residual_init="eye"`` starts there.

    Initialisation: Xavier-uniform kernels, one gate at a time; peepholes from
    :math:`U(-\sqrt{3/H}, \sqrt{3/H})`; biases zero. The paper's could not be checked.

    Sources: the paper's equations as two ports have them, RecurrentLayers.jl's
    ``src/cells/reslstm_cell.jl`` among them; no code of the authors' was found. There h may
    be narrower than c, and the output gate sees c through a matrix; here both are H wide
    and each unit sees its own c, as in torchrecurrent 0.2.5, whose checkpoints have vectors.
    """

    nonlinearity: Activation = "tanh"
    gate_nonlinearity: Activation = "sigmoid"
    peephole_kernel_init: Initializer = xavier_vector_
    proj_init: Initializer = "xavier_uniform"
    residual_init: Initializer = "xavier_uniform"
    citation: ClassVar[str] = "kim2017residual"
    family: ClassVar[str] = "LSTM-like"

    @staticmethod
    def step(
        h: State,
        c: State,
        x: Raw,
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


class ResLSTM(RecurrentLayer, cell=ResLSTMCell):
    """Stacked :class:`ResLSTMCell`."""
