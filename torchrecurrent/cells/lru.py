"""The linear recurrent unit (Orvieto et al., 2023)."""

from typing import Annotated

import torch
from torch import Tensor, exp

from ..cell import BaseRecurrentCell
from ..complex_numbers import Complex, polar
from ..init import Initializer, phase, ring, variance_scaling
from ..layers.named import RecurrentLayer
from ..roles import (
    ComplexInput,
    ComplexReadout,
    ComplexState,
    Feedthrough,
    Input,
    Output,
    VectorRole,
    Weight,
)

__all__ = ["LRU", "LRUCell"]

Decay = Annotated[Tensor, VectorRole(Weight("weight_nu", None, "nu_"))]
Phase = Annotated[Tensor, VectorRole(Weight("weight_theta", None, "theta_"))]
Scale = Annotated[Tensor, VectorRole(Weight("weight_gamma", None, "gamma_"))]


def normalize_(nu: Tensor, gamma: Tensor) -> None:
    r"""Add :math:`\frac12 \log(1 - |\lambda|^2)` to gamma: the state's variance is that of B x."""
    gamma.add_(0.5 * torch.log(-torch.expm1(-2 * nu.exp())))


class LRUCell(BaseRecurrentCell, citation="orvieto2023resurrecting", family="input-gated"):
    r"""Linear recurrent unit, LRU [orvieto2023resurrecting]_; not the light one.

    A diagonal linear recurrence of complex numbers, parametrised so that it is always stable: units
    rotate and decay, each at its own learned rate. Use it like a state-space model, in deep stacks
    with nonlinear layers between, for very long sequences.

    .. math::
        \lambda &= \exp(-\exp \nu + i \exp \theta) \\
        h_t &= \lambda \odot h_{t-1} + \exp \gamma \odot (W_b x_t + b_b) \\
        y_t &= \operatorname{Re}(C h_t) + D \odot x_t

    where h, :math:`W_b`, :math:`b_b` and C are complex. The output y is as wide as the input.

    Args:
        nu_kernel_init: initialiser of :math:`\nu`, such as ``torchrecurrent.init.ring(0.9, 0.999)``
            for long memories.
        gamma_kernel_init: initialiser of a term added to the first :math:`\gamma`, which is
            :math:`\frac12 \log(1 - |\lambda|^2)`: the states' variance is that of :math:`W_b x`.

    Sources: the paper's pseudo-code as quoted by several ports, NicolasZucchet/minimal-LRU's
    ``lru/model.py`` among them; no code by the authors was found. The paper's has no biases.
    """

    kernel_init: Initializer = variance_scaling(0.5)
    nu_kernel_init: Initializer = ring()
    theta_kernel_init: Initializer = phase()
    gamma_kernel_init: Initializer = "zeros"
    output_kernel_init: Initializer = "lecun_normal"
    skip_kernel_init: Initializer = "normal"
    first = {("nu", "gamma"): normalize_}

    @staticmethod
    def step(
        h: ComplexState,
        x: Input,
        b: ComplexInput,
        nu: Decay,
        theta: Phase,
        gamma: Scale,
        C: ComplexReadout,
        D: Feedthrough,
    ) -> tuple[Output, Complex]:
        lambda_ = polar(exp(-exp(nu)), exp(theta))
        h = lambda_ * h + exp(gamma) * b
        return C(h).real + D * x, h

    @property
    def output_size(self) -> int:
        return self.input_size


class LRU(RecurrentLayer, cell=LRUCell): ...
