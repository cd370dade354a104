"""Multi-scale retention, of RetNet (Sun et al., 2023)."""

import math
from collections.abc import Callable
from typing import Annotated

import torch
from torch import Tensor, exp, nn, sqrt
from torch.nn.functional import silu

from ..complex_numbers import Complex, polar
from ..heads import HeadFold, MatrixCell, ToKeys, ToValues, ValueSum
from ..init import Initializer
from ..layers.named import RecurrentLayer
from ..roles import (
    AcrossRole,
    Columns,
    ComplexInput,
    ComplexRole,
    Constant,
    Function,
    MapRole,
    Output,
    Projected,
    StateRole,
    VectorRole,
    Weight,
)

__all__ = ["RetNet", "RetNetCell"]

ComplexMatrix = Annotated[Complex, ComplexRole(StateRole("matrix_size"))]
ComplexRows = Annotated[
    Callable[[Complex], Complex], AcrossRole("repeated", "matrix_size", r"\mathrm{rows}")
]
Decay = Annotated[Tensor, VectorRole(Weight("weight_decay", None, "decay_"), "num_heads")]
Phase = Annotated[Tensor, VectorRole(Weight("weight_theta", None, "theta_"))]
Readout = Annotated[
    Function, MapRole(Weight("weight_out", None, "output_"), "input_size", always_dense=True)
]


def scales_(decay: Tensor) -> Tensor:
    r"""Fill with :math:`(5 + h) \log 2` for head h, counted from 0."""
    return decay.copy_((5 + torch.arange(decay.size(0), dtype=torch.float64)) * math.log(2))


def narrow_(kernel: Tensor) -> Tensor:
    r"""Fill as ``xavier_uniform`` does, times :math:`2^{-5/2}`."""
    return nn.init.xavier_uniform_(kernel, 2**-2.5)


def half_(kernel: Tensor) -> Tensor:
    """Fill with half of what ``xavier_uniform`` does."""
    return nn.init.xavier_uniform_(kernel, 0.5)


class RetNetCell(MatrixCell, citation="sun2023retentive", family="input-gated"):
    r"""Multi-scale retention, the recurrence of RetNet [sun2023retentive]_.

    A head adds values to a matrix, each under a key, and a query reads them again. What is stored
    fades at a rate that no input changes, another one in each head, while its key turns, so that a
    query sees how long ago it was. Use it as attention without a growing memory, in deep stacks
    with residual connections, each followed by a feed-forward layer.

    .. math::
        q_t &= W_q x_t + b_q \quad\text{and so}\quad k_t, v_t, g_t \\
        S_t &= \gamma e^{i \theta} S_{t-1} + \bar k_t v_t^\top, \qquad \gamma = 1 - e^{-a} \\
        o_t &= \operatorname{Re}(S_t^\top q_t) / \sqrt d \\
        y_t &= O\left(\mathrm{SiLU}(g_t) \odot
            \frac{o_t - \mu_t}{\sqrt{\sigma_t^2 + \epsilon}}\right)

    where S, q and k are complex, :math:`\mu_t` and :math:`\sigma_t^2` are mean and variance of each
    head's part of :math:`o_t`, and :math:`e^{i \theta}` has a number for each row of S. Each of
    ``num_heads`` heads has a share of q, k, v and g, a matrix S and one number a; :math:`d` is the
    width of its key in real numbers. The states have the matrices row by row. The keys and
    queries of all heads take turns, number by number; values lie head by head. The output y is as
    wide as the input.

    Args:
        epsilon: :math:`\epsilon`.
        frozen: by default a and :math:`\theta`, ``weight_decay`` and ``weight_theta``, are not
            trained; with ``frozen=()`` they are.

    Sources: the authors' microsoft/torchscale, ``torchscale/component/multiscale_retention.py`` and
    ``torchscale/architecture/retnet.py``, with their initialisation. They turn queries and keys by
    their place in the sequence in place of S, which is the same. Their norm leaves the mean, unlike
    the paper's; their values may be wider than keys, whose complex numbers are half as many as a
    value's numbers, here as many; and they divide by sums of weights, which the norm undoes. There
    are no biases.
    """

    epsilon: float = 1e-6
    frozen: tuple[str, ...] = ("weight_decay", "weight_theta")
    kernel_init: Initializer = narrow_
    decay_kernel_init: Initializer = scales_
    output_kernel_init: Initializer = half_

    @staticmethod
    def step(
        S: ComplexMatrix,
        q: ComplexInput,
        k: ComplexInput,
        v: Projected,
        g: Projected,
        a: Decay,
        theta: Phase,
        O: Readout,
        rows: ComplexRows,
        columns: Columns,
        fold: HeadFold,
        keys: ToKeys,
        values: ToValues,
        total: ValueSum,
        scale: Constant,
        width: Constant,
        epsilon: Constant,
    ) -> tuple[Output, Complex]:
        A = polar(keys(1 - exp(-a)), theta)
        S = rows(A) * S + rows(Complex(k.real, -k.imag)) * columns(v)
        o = fold((rows(q) * S).real) / scale
        o = o - values(total(o) / width)
        n = o / values(sqrt(total(o * o) / width + epsilon))
        return O(silu(g) * n), S

    @property
    def theta_kernel_init(self) -> Initializer:
        """from 1 to 1/10000, evenly in their logarithms, in each head."""
        angles = 10000 ** -torch.linspace(0, 1, self.hidden_size // self.num_heads).double()
        return lambda theta: theta.copy_(angles.repeat_interleave(self.num_heads))

    @property
    def width(self) -> float:
        """How many numbers a head's value has, and complex ones its key."""
        return float(self.hidden_size // self.num_heads)

    @property
    def scale(self) -> float:
        """The root of the width of a head's key in real numbers."""
        return math.sqrt(2 * self.width)

    @property
    def output_size(self) -> int:
        return self.input_size


class RetNet(RecurrentLayer, cell=RetNetCell): ...
