"""The closed-form continuous-time network (Hasani et al., 2022)."""

from typing import Annotated

from torch import Tensor, sigmoid, tanh

from ..activations import Activation
from ..cell import BaseRecurrentCell
from ..init import Initializer
from ..layers.named import RecurrentLayer
from ..roles import (
    INPUT,
    RECURRENT,
    Function,
    Gap,
    MapRole,
    MapsRole,
    Nonlinearity,
    ProductRole,
    State,
    Weight,
)

__all__ = ["CfC", "CfCCell"]

First = Annotated[Tensor, ProductRole(INPUT, RECURRENT, rows="units")]
Deeper = Annotated[
    tuple[Function, ...],
    MapsRole(
        Weight("weight_backbone", "bias_backbone", "backbone_"),
        "backbone_layers",
        first=1,
        rows="units",
        columns="units",
    ),
]
Head = Annotated[Function, MapRole(Weight("weight_head", "bias_head", "head_"), columns="units")]


def lecun_tanh(input: Tensor) -> Tensor:
    """Return 1.7159 tanh(0.666 x), which is about the identity at -1, 0 and 1."""
    return 1.7159 * tanh(0.666 * input)


class CfCCell(BaseRecurrentCell, citation="hasani2022closed", family="ODE"):
    r"""Closed-form continuous-time cell, CfC [hasani2022closed]_.

    A closed-form approximation of a liquid network, a differential equation whose time constants
    depend on its input: an immediate and a final value, and a gate between them that depends on
    the time :math:`\Delta t`. Use it for control and physical signals, if it has to be small.

    .. math::
        z_t &= \phi(W_z x_t + b_z + U_z h_{t-1} + d_z) \\
        f_t &= \tanh(F z_t + d_F), \qquad g_t = \tanh(G z_t + d_G) \\
        \tau_t &= \sigma((A z_t + d_A)\,\Delta t + B z_t + d_B) \\
        h_t &= (1 - \tau_t) \odot f_t + \tau_t \odot g_t

    Args:
        dt: the time :math:`\Delta t` between two steps, the same for all.
        backbone_units: width K of z; 0, the default: that of the state. The authors take 128.
        backbone_layers: the number of layers that compute z; those after the first are D.
        nonlinearity: :math:`\phi`; the default is 1.7159 tanh(0.666 a).

    Sources: the authors' repository mlech26l/ncps, ``ncps/torch/cfc_cell.py``, where W and U are
    one matrix and biases are those of torch's linear maps. This is the default of its three modes;
    a time for each step, sparse wirings and dropout are not included.
    """

    dt: float = 1.0
    backbone_units: int = 0
    backbone_layers: int = 1
    nonlinearity: Activation = lecun_tanh
    backbone_bias: bool | None = None
    head_bias: bool | None = None
    backbone_kernel_init: Initializer = "xavier_uniform"
    backbone_bias_init: Initializer = "zeros"
    head_kernel_init: Initializer = "xavier_uniform"
    head_bias_init: Initializer = "zeros"

    @property
    def units(self) -> int:
        """K, the width of the backbone."""
        return self.backbone_units or self.hidden_size

    @staticmethod
    def step(
        h: State,
        z: First,
        D: Deeper,
        F: Head,
        G: Head,
        A: Head,
        B: Head,
        dt: Gap,
        nonlinearity: Nonlinearity,
    ) -> Tensor:
        z = nonlinearity(z)
        for D_k in D:
            z = nonlinearity(D_k(z))
        f, g = tanh(F(z)), tanh(G(z))
        tau = sigmoid(A(z) * dt + B(z))
        return (1 - tau) * f + tau * g


class CfC(RecurrentLayer, cell=CfCCell): ...
