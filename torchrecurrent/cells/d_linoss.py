"""The damped linear oscillatory state-space model (Boyer, Rusch and Rus, 2025)."""

import math
from typing import Annotated

import torch
from torch import Tensor, clamp, maximum, minimum, relu, sigmoid, sqrt

from ..cell import BaseRecurrentCell
from ..complex_numbers import Complex
from ..init import Initializer, normal, ring, uniform
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

__all__ = ["DLinOSS", "DLinOSSCell"]

Frequency = Annotated[Tensor, VectorRole(Weight("weight_a", None, "frequency_"))]
Damping = Annotated[Tensor, VectorRole(Weight("weight_g", None, "damping_"))]
Pace = Annotated[Tensor, VectorRole(Weight("weight_dt", None, "dt_"))]


def oscillate_(angle: Tensor, decay: Tensor, delta: Tensor) -> None:
    r"""Turn angles and logarithms of decay rates into the A and G with such eigenvalues.

    An oscillator with the eigenvalues :math:`r e^{\pm i \phi}` has
    :math:`G = (1/r^2 - 1) / \Delta t` and :math:`A = (1/r^2 - 2 \cos(\phi) / r + 1) / \Delta t^2`.
    """
    dt, growth = sigmoid(delta), decay.exp()  # log 1/r
    decay.copy_(torch.expm1(2 * growth) / dt)
    angle.copy_((torch.exp(2 * growth) - 2 * torch.cos(angle) * torch.exp(growth) + 1) / dt**2)


class DLinOSSCell(BaseRecurrentCell, citation="boyer2025learning", family="ODE"):
    r"""Damped linear oscillatory state-space model, D-LinOSS [boyer2025learning]_.

    The oscillators of :class:`LinOSSCell`, each of which also learns how fast it loses its energy,
    whatever its frequency and time step are; stable for all parameters. Use it like a
    state-space model, in deep stacks with nonlinear layers between, for very long sequences.

    .. math::
        z_t &= z_{t-1} + \Delta t \odot (-A \odot y_{t-1} - G \odot z_t + W_b x_t + b_b) \\
        y_t &= y_{t-1} + \Delta t \odot z_t \\
        o_t &= \operatorname{Re}(C y_t) + D \odot x_t

    where z, y, :math:`W_b`, :math:`b_b` and C are complex, G is at least 0, by a ReLU of its
    parameter, :math:`\Delta t = \sigma(\delta)`, and A is moved into the range in which the
    eigenvalues are not real: with :math:`S = 1 + \Delta t\, G`, from
    :math:`(\sqrt S - 1)^2 / \Delta t^2` to :math:`(\sqrt S + 1)^2 / \Delta t^2`. The equation for
    :math:`z_t` is solved by means of S. The output is as wide as the input.

    Args:
        frequency_kernel_init: initialiser of the angles of the first eigenvalues, from which A
            follows.
        damping_kernel_init: initialiser of their moduli, as :math:`\log(-\log r)`, from which G
            follows.

    Sources: the authors' repository jaredbmit/damped-linoss, in ``src/damped_linoss`` the layer
    DampedIMEX1 of ``models/LinOSS.py``, with the initialisation "ring" as in
    ``scripts/create_experiment.py``. The paper has no biases.
    """

    kernel_init: Initializer = "hidden_uniform_columns"
    frequency_kernel_init: Initializer = uniform(0, math.pi)
    damping_kernel_init: Initializer = ring(0.9, 1.0)
    dt_kernel_init: Initializer = normal(0.5)
    output_kernel_init: Initializer = "hidden_uniform_columns"
    skip_kernel_init: Initializer = "normal"
    first = {("A", "G", "delta"): oscillate_}

    @staticmethod
    def step(
        y: ComplexState,
        z: ComplexState,
        x: Input,
        b: ComplexInput,
        A: Frequency,
        G: Damping,
        delta: Pace,
        C: ComplexReadout,
        D: Feedthrough,
    ) -> tuple[Output, Complex, Complex]:
        G, dt = relu(G), sigmoid(delta)
        S = 1 + dt * G
        low = (G / (sqrt(S) + 1)) ** 2  # without the cancellation in sqrt(S) - 1
        high = (sqrt(S) + 1) ** 2 / clamp(dt * dt, min=1e-6)
        A = minimum(maximum(A, low), high)
        z = (1 / S) * (z + dt * (b - A * y))
        y = y + dt * z
        return C(y).real + D * x, y, z

    @property
    def output_size(self) -> int:
        return self.input_size


class DLinOSS(RecurrentLayer, cell=DLinOSSCell): ...
