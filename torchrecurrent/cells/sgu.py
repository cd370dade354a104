"""Simple gated units, shallow and deep (Gao and Glowacka, 2016)."""

from typing import Annotated

from torch import Tensor, relu

from ..activations import Activation
from ..cell import BaseRecurrentCell
from ..init import Initializer
from ..layers.named import RecurrentLayer
from ..roles import (
    Function,
    Gate,
    GateNonlinearity,
    Map,
    MapRole,
    Nonlinearity,
    OutputNonlinearity,
    Projected,
    State,
    Weight,
)

__all__ = ["DSGU", "SGU", "DSGUCell", "SGUCell"]

OutputMap = Annotated[Function, MapRole(Weight("weight_ho", None, "output_"))]


def steep_hard_sigmoid(input: Tensor) -> Tensor:
    """Return the hard sigmoid of slope 1/5, as in Theano and Keras 1; torch's has 1/6."""
    return 1 - relu(1 - relu(0.2 * input + 0.5))


class SGUCell(BaseRecurrentCell, citation="gao2016deep", family="one-gate"):
    r"""Simple gated unit [gao2016deep]_.

    Its gate multiplies: the input scales the state before it is mixed, and the result scales
    it again. It learns long dependencies in fewer updates than a GRU.

    .. math::
        g_t &= \phi(U ((W_g x_t + b_g) \odot h_{t-1}) + d_U) \\
        o_t &= \psi(g_t \odot h_{t-1}) \\
        z_t &= \sigma(W_z x_t + b_z + U_z h_{t-1} + d_z) \\
        h_t &= (1 - z_t) \odot h_{t-1} + z_t \odot o_t

    Args:
        gate_nonlinearity: :math:`\sigma`, by default the hard sigmoid
            :math:`\min(\max(a/5 + 1/2, 0), 1)`.

    Sources: the paper's equations as in Chainer's links SGU and DSGU and the issues of
    torchrecurrent; no code by the authors was found, and the initialisation could not be checked.
    The slope of the hard sigmoid is that of Chainer and of Theano, in which such cells were
    written at the time. The paper has no biases d.
    """

    nonlinearity: Activation = "tanh"
    output_nonlinearity: Activation = "softplus"
    gate_nonlinearity: Activation = steep_hard_sigmoid

    @staticmethod
    def step(
        h: State,
        g: Projected,
        U: Map,
        z: Gate,
        nonlinearity: Nonlinearity,
        output_nonlinearity: OutputNonlinearity,
        gate_nonlinearity: GateNonlinearity,
    ) -> Tensor:
        g = nonlinearity(U(g * h))
        o = output_nonlinearity(g * h)
        z = gate_nonlinearity(z)
        return (1 - z) * h + z * o


class SGU(RecurrentLayer, cell=SGUCell): ...


class DSGUCell(BaseRecurrentCell, citation="gao2016deep", family="one-gate"):
    r"""Deep simple gated unit [gao2016deep]_.

    A :class:`SGUCell` with one more product and a bounded output, which makes it the more stable of
    the two: a state that starts in [0, 1] stays there.

    .. math::
        g_t &= \phi(U ((W_g x_t + b_g) \odot h_{t-1}) + d_U) \\
        o_t &= \psi(V (g_t \odot h_{t-1})) \\
        z_t &= \sigma(W_z x_t + b_z + U_z h_{t-1} + d_z) \\
        h_t &= (1 - z_t) \odot h_{t-1} + z_t \odot o_t

    Args:
        gate_nonlinearity: :math:`\sigma`, as for :class:`SGUCell`.

    Sources: as for :class:`SGUCell`.
    """

    nonlinearity: Activation = "tanh"
    output_nonlinearity: Activation = "sigmoid"
    gate_nonlinearity: Activation = steep_hard_sigmoid
    output_kernel_init: Initializer = "xavier_uniform"

    @staticmethod
    def step(
        h: State,
        g: Projected,
        U: Map,
        z: Gate,
        V: OutputMap,
        nonlinearity: Nonlinearity,
        output_nonlinearity: OutputNonlinearity,
        gate_nonlinearity: GateNonlinearity,
    ) -> Tensor:
        g = nonlinearity(U(g * h))
        o = output_nonlinearity(V(g * h))
        z = gate_nonlinearity(z)
        return (1 - z) * h + z * o


class DSGU(RecurrentLayer, cell=DSGUCell): ...
