"""The selective state-space model of Mamba (Gu and Dao, 2023)."""

from typing import Annotated

import torch
from torch import Tensor, exp
from torch.nn.functional import softplus

from ..cell import BaseRecurrentCell
from ..init import Initializer, paces
from ..layers.named import RecurrentLayer
from ..roles import (
    INPUT,
    Columns,
    Feedthrough,
    Fold,
    Function,
    Input,
    MapRole,
    MatrixState,
    Output,
    ProductRole,
    Projected,
    Rows,
    VectorRole,
    Weight,
)

__all__ = ["S6", "S6Cell"]

Narrow = Annotated[Tensor, ProductRole(INPUT, rows="dt_rank")]
Pace = Annotated[
    Function, MapRole(Weight("weight_dt", "bias_dt", "dt_"), "input_size", "dt_rank", True)
]
Decay = Annotated[Tensor, VectorRole(Weight("weight_a", None, "a_"), "matrix_size")]


class S6Cell(BaseRecurrentCell, citation="gu2023mamba", family="input-gated"):
    r"""Selective state-space model, S6, the recurrence of Mamba [gu2023mamba]_.

    Each value of the input has a few states of its own, which decay at different rates. The input
    decides how much time passes, what is written and what is read, so that it can be skipped or
    kept. Use it in deep stacks with nonlinear layers between, for long sequences.

    .. math::
        z_t &= W_z x_t + b_z, \qquad \delta_t = \mathrm{softplus}(V z_t + d_V) \\
        H_t &= \exp(-e^A \odot 1 \delta_t^\top) \odot H_{t-1}
            + B_t (\delta_t \odot x_t)^\top \\
        y_t &= H_t^\top C_t + D \odot x_t

    where :math:`B_t = W_B x_t + b_B` and :math:`C_t = W_C x_t + b_C`, and H is a matrix with a
    column for each value of the input and ``hidden_size`` rows, which the state has one after the
    other. The output y is as wide as the input.

    Args:
        dt_rank: how many numbers z has; in Mamba a sixteenth of the width of the input.

    Sources: the authors' repository state-spaces/mamba, ``mamba_ssm/modules/mamba_simple.py``,
    with its initialisation; it has 16 rows and no biases but :math:`d_V`. The convolution
    before it and the gate after it are not included. An
    equation of the paper discretises B, too, by zero-order hold; its code does as here.
    """

    dt_rank: int = 1
    kernel_init: Initializer = "hidden_uniform_columns"
    dt_bias: bool = True
    dt_kernel_init: Initializer = "hidden_uniform_columns"
    dt_bias_init: Initializer = paces()
    skip_kernel_init: Initializer = "ones"

    @staticmethod
    def step(
        H: MatrixState,
        x: Input,
        z: Narrow,
        B: Projected,
        C: Projected,
        A: Decay,
        D: Feedthrough,
        V: Pace,
        rows: Rows,
        columns: Columns,
        fold: Fold,
    ) -> tuple[Output, Tensor]:
        delta = softplus(V(z))
        H = exp(-exp(A) * columns(delta)) * H + rows(B) * columns(delta * x)
        return fold(rows(C) * H) + D * x, H

    @property
    def a_kernel_init(self) -> Initializer:
        """the logarithm of its row, counted from one."""
        rows = torch.arange(1, self.hidden_size + 1, dtype=torch.float64).log()
        return lambda weight: weight.copy_(rows.repeat_interleave(self.input_size))

    @property
    def matrix_size(self) -> int:
        return self.hidden_size * self.input_size

    @property
    def output_size(self) -> int:
        return self.input_size

    def check_options(self) -> None:
        super().check_options()
        if self.dt_rank < 1:
            raise ValueError(f"dt_rank should be at least 1, got {self.dt_rank}")


class S6(RecurrentLayer, cell=S6Cell): ...
