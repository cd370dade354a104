"""The linear oscillatory state-space model (Rusch and Rus, 2025)."""

from typing import Annotated, Literal

from torch import Tensor, relu, sigmoid

from ..cell import BaseRecurrentCell
from ..complex_numbers import Complex
from ..init import Initializer
from ..layers.named import RecurrentLayer
from ..roles import (
    ComplexInput,
    ComplexReadout,
    ComplexState,
    Constant,
    Feedthrough,
    Input,
    Output,
    VectorRole,
    Weight,
)

__all__ = ["LinOSS", "LinOSSCell"]

Frequency = Annotated[Tensor, VectorRole(Weight("weight_a", None, "frequency_"))]
Pace = Annotated[Tensor, VectorRole(Weight("weight_dt", None, "dt_"))]


class LinOSSCell(BaseRecurrentCell, citation="rusch2025oscillatory", family="ODE"):
    r"""Linear oscillatory state-space model, LinOSS [rusch2025oscillatory]_.

    Uncoupled harmonic oscillators, each with its own frequency and time step, driven by the
    input; IM is stable for all parameters. Use it like a state-space model, in deep stacks with
    nonlinear layers between, for very long sequences.

    .. math::
        z_t &= z_{t-1} + \Delta t \odot (-A \odot y_* + W_b x_t + b_b) \\
        y_t &= y_{t-1} + \Delta t \odot z_t \\
        o_t &= \operatorname{Re}(C y_t) + D \odot x_t

    where z, y, :math:`W_b`, :math:`b_b` and C are complex, A is at least 0, by a ReLU of its
    parameter, :math:`\Delta t = \sigma(\delta)`, and :math:`y_*` is :math:`y_t` in the implicit
    scheme, IM, which forgets, and :math:`y_{t-1}` in IMEX, which preserves volume in the space of y
    and z. The implicit equations are solved in closed form, with the factor
    :math:`1 / (1 + \theta\, \Delta t^2 A)`, where :math:`\theta` is 1, and 0 for IMEX. The output
    is as wide as the input.

    Args:
        discretization: ``"IM"`` or ``"IMEX"``.

    Sources: the authors' repository tk-rusch/linoss, ``models/LinOSS.py``. The paper has no biases.
    """

    discretization: Literal["IM", "IMEX"] = "IM"
    kernel_init: Initializer = "hidden_uniform_columns"
    frequency_kernel_init: Initializer = "uniform"
    dt_kernel_init: Initializer = "uniform"
    output_kernel_init: Initializer = "hidden_uniform_columns"
    skip_kernel_init: Initializer = "normal"

    @property
    def theta(self) -> float:
        """1 where the new position drives the velocity, 0 where the old one does."""
        return float(self.discretization == "IM")

    @staticmethod
    def step(
        y: ComplexState,
        z: ComplexState,
        x: Input,
        b: ComplexInput,
        A: Frequency,
        delta: Pace,
        C: ComplexReadout,
        D: Feedthrough,
        theta: Constant,
    ) -> tuple[Output, Complex, Complex]:
        A, dt = relu(A), sigmoid(delta)
        S = 1 / (1 + theta * dt * dt * A)
        z = S * (z + dt * (b - A * y))
        y = y + dt * z
        return C(y).real + D * x, y, z

    @property
    def output_size(self) -> int:
        return self.input_size


class LinOSS(RecurrentLayer, cell=LinOSSCell): ...
