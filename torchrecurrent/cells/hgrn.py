"""Hierarchically gated recurrent networks (Qin et al., 2023 and 2024)."""

from typing import Annotated

import torch
from torch import Tensor, sigmoid
from torch.nn.functional import silu

from ..cell import BaseRecurrentCell
from ..complex_numbers import Complex, polar
from ..heads import MatrixCell
from ..init import Initializer
from ..layers.named import RecurrentLayer
from ..roles import (
    Columns,
    ComplexInput,
    ComplexReadout,
    ComplexState,
    Constant,
    Fold,
    MatrixState,
    Output,
    Projected,
    Rows,
    VectorRole,
    Weight,
)

__all__ = ["HGRN", "HGRN2", "HGRN2Cell", "HGRNCell"]

Phase = Annotated[Tensor, VectorRole(Weight("weight_theta", None, "theta_"))]


def rotary_(theta: Tensor) -> Tensor:
    r"""Fill with :math:`10000^{-2k/H}`, the angle of unit k of H."""
    units = torch.arange(theta.size(0), dtype=torch.float64)
    return theta.copy_(10000 ** (-2 * units / theta.size(0)))


class HGRNCell(BaseRecurrentCell, citation="qin2023hierarchically", family="input-gated"):
    r"""Hierarchically gated recurrent network, HGRN [qin2023hierarchically]_.

    A complex moving average whose forget gate sees the input and never falls below a bound. Use it
    in deep stacks for text and other long sequences, with a bound that grows from layer to layer:
    lower layers then see what is near, higher ones what is far.

    .. math::
        \mu_t &= \sigma(W_\mu x_t + b_\mu), \qquad g_t = \sigma(W_g x_t + b_g) \\
        \lambda_t &= \gamma + (1 - \gamma)\, \mu_t \\
        h_t &= \lambda_t e^{i \theta} \odot h_{t-1} + (1 - \lambda_t) \odot c_t \\
        y_t &= \operatorname{Re}(C (g_t \odot h_t))

    where h and C are complex, and real and imaginary part of :math:`c_t` are
    :math:`\mathrm{SiLU}(W_c x_t + b_c)` with kernels of their own. Both parts of :math:`h_t`, too,
    have a gate of their own, :math:`g_t`. The output y is as wide as the input.

    Args:
        gamma: :math:`\gamma`, the least value of the forget gate. The paper learns those of all
            layers together, as a cumulative sum of a softmax that starts at 0; here each cell of
            a stack is given its own.

    Sources: the paper's equations in the authors' repository OpenNLPLab/HGRN, ``README.md``, and
    the class Hgru1dV3 of their hgru-pytorch, which has a layer norm and a bias at the readout, and
    bottlenecks in its gates. The second author's flash-linear-attention has a real form without
    rotation, ``fla/layers/hgrn.py``.
    """

    gamma: float = 0.0
    kernel_init: Initializer = "hidden_uniform_columns"
    bias_init: Initializer = "hidden_uniform"
    theta_kernel_init: Initializer = rotary_
    output_kernel_init: Initializer = "hidden_uniform_columns"

    @staticmethod
    def step(
        h: ComplexState,
        c: ComplexInput,
        mu: Projected,
        g: ComplexInput,
        theta: Phase,
        C: ComplexReadout,
        gamma: Constant,
    ) -> tuple[Output, Complex]:
        lambda_ = gamma + (1 - gamma) * sigmoid(mu)
        c = Complex(silu(c.real), silu(c.imag))
        h = polar(lambda_, theta) * h + (1 - lambda_) * c
        o = Complex(sigmoid(g.real) * h.real, sigmoid(g.imag) * h.imag)
        return C(o).real, h

    @property
    def output_size(self) -> int:
        return self.input_size

    def check_options(self) -> None:
        if not 0 <= self.gamma < 1:
            raise ValueError(f"gamma should be at least 0 and less than 1, got {self.gamma}")


class HGRN(RecurrentLayer, cell=HGRNCell): ...


class HGRN2Cell(MatrixCell, citation="qin2024hgrn2", family="input-gated"):
    r"""Hierarchically gated recurrent network with expanded states, HGRN2 [qin2024hgrn2]_.

    A head has many running means of its values, each with a forget gate of its own that never falls
    below a bound; what is not kept is the weight of the new value. Use it in deep stacks, with a
    bound that grows from layer to layer, where :class:`HGRN` remembers too little.

    .. math::
        \lambda_t &= \gamma + (1 - \gamma)\, \sigma(W_f x_t + b_f) \\
        S_t &= (\lambda_t 1^\top) \odot S_{t-1} + (1 - \lambda_t) i_t^\top \\
        y_t &= S_t^\top\, \mathrm{SiLU}(W_q x_t + b_q)

    where :math:`i_t = W_i x_t + b_i`. Each of ``num_heads`` heads has a share of
    :math:`\lambda`, q and i and a matrix S; the state has the matrices row by row. The numbers of
    :math:`\lambda` and q of all heads take turns; those of i lie head by head.

    Args:
        gamma: :math:`\gamma`, the least value of the forget gate. The paper learns those of all
            layers together, as a cumulative sum of a softmax that starts at 0; here each cell of
            a stack is given its own.

    Sources: the second author's flash-linear-attention, ``fla/layers/hgrn2.py``, which divides y by
    the root of the key's width, before a norm that undoes it; it has no biases.
    """

    gamma: float = 0.0
    kernel_init: Initializer = "hidden_uniform_columns"

    @staticmethod
    def step(
        S: MatrixState,
        q: Projected,
        f: Projected,
        i: Projected,
        rows: Rows,
        columns: Columns,
        fold: Fold,
        gamma: Constant,
    ) -> tuple[Output, Tensor]:
        lambda_ = gamma + (1 - gamma) * sigmoid(f)
        S = rows(lambda_) * S + rows(1 - lambda_) * columns(i)
        return fold(rows(silu(q)) * S), S

    def check_options(self) -> None:
        super().check_options()
        if not 0 <= self.gamma < 1:
            raise ValueError(f"gamma should be at least 0 and less than 1, got {self.gamma}")


class HGRN2(RecurrentLayer, cell=HGRN2Cell): ...
