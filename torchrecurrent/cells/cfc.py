"""The closed-form continuous-time network (Hasani et al., 2022)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, ClassVar

from torch import Tensor, sigmoid, tanh

from ..activations import Activation
from ..cell import BaseRecurrentCell
from ..init import Initializer
from ..named_layer import RecurrentLayer
from ..roles import (
    INPUT,
    RECURRENT,
    Constant,
    Kernel,
    MapRole,
    MapsRole,
    Nonlinearity,
    ProductRole,
    State,
)

__all__ = ["CfC", "CfCCell"]

Affine = Callable[[Tensor], Tensor]
First = Annotated[Tensor, ProductRole(INPUT, RECURRENT, rows="units")]
Deeper = Annotated[
    tuple[Affine, ...],
    MapsRole(
        Kernel("weight_backbone", "bias_backbone", "backbone_"),
        "backbone_layers",
        first=1,
        rows="units",
        columns="units",
    ),
]
Head = Annotated[Affine, MapRole(Kernel("weight_head", "bias_head", "head_"), columns="units")]


def lecun_tanh(input: Tensor) -> Tensor:
    """1.7159 tanh(0.666 x), which is about the identity at -1, 0 and 1."""
    return 1.7159 * tanh(0.666 * input)


class CfCCell(BaseRecurrentCell):
    r"""Closed-form continuous-time cell, CfC [hasani2022closed]_.

    What a liquid network, a differential equation whose time constants depend on its input,
    would come to after a time :math:`\Delta t`, in closed form: two answers, the one that
    holds at once and the one that it tends to, and a gate between them that knows the time.
    Use it for control and for physical signals, where a small network has to do.

    .. math::
        z_t &= \phi(W x_t + b + U h_{t-1} + d) \\
        f_t &= \tanh(F z_t + d_F), \qquad g_t = \tanh(G z_t + d_G) \\
        \tau_t &= \sigma((A z_t + d_A)\,\Delta t + B z_t + d_B) \\
        h_t &= (1 - \tau_t) \odot f_t + \tau_t \odot g_t

    Args:
        dt: the time :math:`\Delta t` between two steps, the same for all.
        backbone_units: width K of z; 0, the default: that of the state. The authors take 128.
        backbone_layers: how many layers make z; those after the first are D.
        nonlinearity: :math:`\phi`; the default is 1.7159 tanh(0.666 a).
        backbone_bias: whether D has biases; default: as ``bias``.
        backbone_kernel_init: initialiser of D, ``weight_backbone``.
        backbone_bias_init: initialiser of ``bias_backbone``.
        head_bias: whether F, G, A and B have biases; default: as ``bias``.
        head_kernel_init: initialiser of F, G, A and B, ``weight_head``.
        head_bias_init: initialiser of ``bias_head``.

    Initialisation: Xavier-uniform kernels, one at a time; the authors' W and U are one matrix.
    Biases zero; theirs are as torch's linear maps'.

    Sources: the authors' repository mlech26l/ncps, ``ncps/torch/cfc_cell.py``. Of its three modes
    this is the default; a time for each step, sparse wirings and dropout are not here.
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
    citation: ClassVar[str] = "hasani2022closed"
    family: ClassVar[str] = "ODE"

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
        dt: Constant,
        nonlinearity: Nonlinearity,
    ) -> Tensor:
        z = nonlinearity(z)
        for D_k in D:
            z = nonlinearity(D_k(z))
        f, g = tanh(F(z)), tanh(G(z))
        tau = sigmoid(A(z) * dt + B(z))
        return (1 - tau) * f + tau * g


class CfC(RecurrentLayer, cell=CfCCell):
    """Stacked :class:`CfCCell`."""
