"""The simplified structured state-space model (Smith, Warrington and Linderman, 2023)."""

import math
from typing import Annotated

from torch import Tensor, clamp, cos, exp, expm1, sin

from ..cell import BaseRecurrentCell
from ..complex_numbers import Complex
from ..init import Initializer, hippo, uniform, variance_scaling
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

__all__ = ["S5", "S5Cell"]

Real = Annotated[Tensor, VectorRole(Weight("weight_re", None, "re_"))]
Imaginary = Annotated[Tensor, VectorRole(Weight("weight_im", None, "im_"))]
Pace = Annotated[Tensor, VectorRole(Weight("weight_dt", None, "dt_"))]


class S5Cell(BaseRecurrentCell, citation="smith2023simplified", family="input-gated"):
    r"""Simplified structured state-space model, S5 [smith2023simplified]_.

    A diagonal linear differential equation of complex numbers, which runs for a learned time at
    each step. It begins with the eigenvalues of HiPPO, which sums up the past in polynomials. Use
    it in deep stacks with nonlinear layers between, for very long sequences.

    .. math::
        \Lambda &= \mathrm{re} + i\, \mathrm{im}, \qquad \Delta t = e^{\delta}, \qquad
            \bar\Lambda = \exp(\Lambda \odot \Delta t) \\
        h_t &= \bar\Lambda \odot h_{t-1} + \frac{\bar\Lambda - 1}{\Lambda} \odot (W_b x_t + b_b) \\
        y_t &= 2 \operatorname{Re}(C h_t) + D \odot x_t

    where h, :math:`W_b`, :math:`b_b` and C are complex; twice the real part stands for the
    conjugates of all units, which are not computed. :math:`\mathrm{re}` is at most -0.0001, so that
    it is stable whatever it learns. The output y is as wide as the input.

    Args:
        im_kernel_init: initialiser of :math:`\mathrm{im}`; with the authors' eight blocks it is
            ``torchrecurrent.init.hippo(8)``.
        dt_kernel_init: initialiser of :math:`\delta`; the default draws :math:`\Delta t` from 0.001
            to 0.1, evenly in its logarithm.

    Sources: the authors' repository lindermanlab/S5, ``s5/ssm.py`` and ``s5/ssm_init.py``, which
    draws :math:`W_b` and C and rotates them by HiPPO's eigenvectors; here they are drawn from the
    normal distribution that results. There the bound on re is an option, ``clip_eigs``, and so is a
    bilinear discretisation, which is not included. Theirs has no biases.
    """

    kernel_init: Initializer = variance_scaling(0.25, mode="fan_out")
    re_kernel_init: Initializer = "zeros"
    im_kernel_init: Initializer = hippo()
    dt_kernel_init: Initializer = uniform(math.log(0.001), math.log(0.1))
    output_kernel_init: Initializer = variance_scaling(0.5)
    skip_kernel_init: Initializer = "normal"
    first = {"re": -0.5}

    @staticmethod
    def step(
        h: ComplexState,
        x: Input,
        b: ComplexInput,
        re: Real,
        im: Imaginary,
        delta: Pace,
        C: ComplexReadout,
        D: Feedthrough,
    ) -> tuple[Output, Complex]:
        re, dt = clamp(re, max=-1e-4), exp(delta)
        a, phi = re * dt, im * dt
        s = sin(phi / 2)
        # Lambda-bar - 1, without its cancellation where the time is short
        e = Complex(expm1(a) * cos(phi) - 2 * s * s, exp(a) * sin(phi))
        h = (e + 1) * h + e / Complex(re, im) * b
        return 2 * C(h).real + D * x, h

    @property
    def output_size(self) -> int:
        return self.input_size


class S5(RecurrentLayer, cell=S5Cell): ...
