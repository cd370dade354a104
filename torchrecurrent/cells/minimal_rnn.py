"""The minimal recurrent network (Chen, 2017)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, ClassVar

from torch import Tensor

from ..activations import Activation
from ..cell import BaseRecurrentCell
from ..init import Initializer
from ..named_layer import RecurrentLayer
from ..roles import GateNonlinearity, Input, Kernel, MapRole, Nonlinearity, Recurrent, State

__all__ = ["MinimalRNN", "MinimalRNNCell"]

MEMORY = Kernel("weight_mm", None, "memory_")
#: It maps the encoded input, so it is no part of the recurrence.
Memory = Annotated[Callable[[Tensor], Tensor], MapRole(MEMORY, always_dense=True)]


class MinimalRNNCell(BaseRecurrentCell):
    r"""Minimal recurrent cell [chen2017minimalrnn]_.

    The input is encoded first; one gate averages the state with the code and nothing else
    happens, so a state stays within the space of codes. Use it where the state should be
    open to interpretation.

    .. math::
        z_t &= \phi(W x_t + b) \\
        u_t &= \sigma(U h_{t-1} + d + M z_t) \\
        h_t &= u_t \odot h_{t-1} + (1 - u_t) \odot z_t

    Args:
        nonlinearity: :math:`\phi`.
        gate_nonlinearity: :math:`\sigma`.
        memory_kernel_init: initialiser of M, ``weight_mm``.

    Initialisation: Xavier-uniform kernels, biases zero. What the paper used could not be
    checked.

    Sources: the paper's equations as two independent ports have them; no code of the
    author's was found. In either port the gate sees the code of the present input.
    """

    nonlinearity: Activation = "tanh"
    gate_nonlinearity: Activation = "sigmoid"
    memory_kernel_init: Initializer = "xavier_uniform"
    citation: ClassVar[str] = "chen2017minimalrnn"
    family: ClassVar[str] = "additive"

    @staticmethod
    def step(
        h: State,
        z: Input,
        u: Recurrent,
        M: Memory,
        nonlinearity: Nonlinearity,
        gate_nonlinearity: GateNonlinearity,
    ) -> Tensor:
        z = nonlinearity(z)
        u = gate_nonlinearity(u + M(z))
        return u * h + (1 - u) * z


class MinimalRNN(RecurrentLayer, cell=MinimalRNNCell):
    """Stacked :class:`MinimalRNNCell`."""
