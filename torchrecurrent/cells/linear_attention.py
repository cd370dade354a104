"""Linear attention with a forget gate, with the delta rule, and with both."""

from typing import Annotated

import torch
from torch import Tensor, exp, sigmoid, sqrt
from torch.nn.functional import logsigmoid, silu, softplus

from ..heads import HeadGate, HeadSum, MatrixCell, ToKeys, ToValues
from ..init import Initializer, paces
from ..layers.named import RecurrentLayer
from ..roles import (
    INPUT,
    Columns,
    Constant,
    Fold,
    Function,
    MapRole,
    MatrixState,
    Output,
    ProductRole,
    Projected,
    Rows,
    VectorRole,
    Weight,
)

__all__ = ["GLA", "DeltaNet", "DeltaNetCell", "GLACell", "GatedDeltaNet", "GatedDeltaNetCell"]

Narrow = Annotated[Tensor, ProductRole(INPUT, rows="gate_rank")]
Widen = Annotated[
    Function,
    MapRole(Weight("weight_gate", "bias_gate", "gate_"), "hidden_size", "gate_rank", True),
]
Decay = Annotated[Tensor, VectorRole(Weight("weight_a", None, "a_"), "num_heads")]


def decays_(tensor: Tensor) -> Tensor:
    """Fill with the logarithms of numbers drawn evenly between 0 and 16."""
    drawn = torch.empty_like(tensor, dtype=torch.float64).uniform_(0, 16)
    return tensor.copy_(drawn.clamp_(min=1e-6).log_())  # not that of 0


class GLACell(MatrixCell, citation="yang2024gated", family="input-gated"):
    r"""Gated linear attention, GLA [yang2024gated]_.

    A head adds values to a matrix, each under a key, and a query reads them again. Each row of the
    matrix decays at a rate that depends on the input. Use it as attention without a growing memory,
    in deep stacks.

    .. math::
        q_t &= W_q x_t + b_q \quad\text{and so}\quad k_t, v_t \\
        \alpha_t &= \sigma(G (W_z x_t + b_z) + d_G)^{1 / \tau} \\
        S_t &= (\alpha_t 1^\top) \odot S_{t-1} + k_t v_t^\top \\
        y_t &= S_t^\top q_t / \sqrt d

    Each of ``num_heads`` heads has a share of q, k, v, :math:`\alpha` and a matrix S; :math:`d` is
    the width of its key. The state has the matrices row by row. The keys and queries of all heads
    take turns, number by number; values lie head by head.

    Args:
        tau: :math:`\tau`; the larger, the longer is kept what was stored.
        gate_rank: the width of :math:`W_z x_t`.

    Sources: the authors' flash-linear-attention, ``fla/layers/gla.py`` and
    ``fla/ops/gla/naive.py``, without the gated norm after y; it has no biases but :math:`d_G`, and
    keys half as wide as values.
    """

    tau: float = 16.0
    gate_rank: int = 16
    gate_bias: bool = True
    kernel_init: Initializer = "hidden_uniform_columns"
    gate_kernel_init: Initializer = "hidden_uniform_columns"
    gate_bias_init: Initializer = "zeros"

    @staticmethod
    def step(
        S: MatrixState,
        q: Projected,
        k: Projected,
        v: Projected,
        z: Narrow,
        G: Widen,
        rows: Rows,
        columns: Columns,
        fold: Fold,
        scale: Constant,
        tau: Constant,
    ) -> tuple[Output, Tensor]:
        alpha = exp(logsigmoid(G(z)) / tau)
        S = rows(alpha) * S + rows(k) * columns(v)
        return fold(rows(q) * S) / scale, S

    def check_options(self) -> None:
        super().check_options()
        if not self.tau > 0:
            raise ValueError(f"tau should be greater than zero, got {self.tau}")
        if self.gate_rank < 1:
            raise ValueError(f"gate_rank should be at least 1, got {self.gate_rank}")


class GLA(RecurrentLayer, cell=GLACell): ...


class DeltaNetCell(MatrixCell, citation="yang2024parallelizing", family="input-gated"):
    r"""Linear attention with the delta rule, DeltaNet [yang2024parallelizing]_.

    A head stores values in a matrix, each under a key. What the matrix has under a key already is
    taken out before, so that a value can be replaced: a step of gradient descent on the error of
    recall. Use it for recall of many pairs, in deep stacks.

    .. math::
        \tilde q_t &= \mathrm{SiLU}(W_q x_t + b_q) \quad\text{and so}\quad
            \tilde k_t, v_t, \qquad \beta_t = \sigma(W_b x_t + b_b) \\
        q_t &= \tilde q_t / \sqrt{|\tilde q_t|^2 + \epsilon} \quad\text{and so}\quad k_t \\
        u_t &= \beta_t (v_t - S_{t-1}^\top k_t) \\
        S_t &= S_{t-1} + k_t u_t^\top \\
        y_t &= S_t^\top q_t / \sqrt d

    Each of ``num_heads`` heads has a share of q, k, v, a matrix S and one number :math:`\beta`;
    :math:`d` is the width of its key. The state has the matrices row by row. The keys and queries
    of all heads take turns, number by number; values lie head by head.

    Args:
        epsilon: :math:`\epsilon`, for a key of zeros.

    Sources: the first author's flash-linear-attention, ``fla/layers/delta_net.py`` and
    ``fla/ops/delta_rule/naive.py``, without its convolutions before q, k and v and its norm after
    y; it has no biases. The rule is that of [schlag2021linear]_, with other feature maps there.
    """

    epsilon: float = 1e-6
    kernel_init: Initializer = "hidden_uniform_columns"

    @staticmethod
    def step(
        S: MatrixState,
        q: Projected,
        k: Projected,
        v: Projected,
        b: HeadGate,
        rows: Rows,
        columns: Columns,
        fold: Fold,
        heads: HeadSum,
        keys: ToKeys,
        values: ToValues,
        scale: Constant,
        epsilon: Constant,
    ) -> tuple[Output, Tensor]:
        q, k = silu(q), silu(k)
        q = q / keys(sqrt(heads(q * q) + epsilon))
        k = k / keys(sqrt(heads(k * k) + epsilon))
        u = values(sigmoid(b)) * (silu(v) - fold(rows(k) * S))
        S = S + rows(k) * columns(u)
        return fold(rows(q) * S) / scale, S


class DeltaNet(RecurrentLayer, cell=DeltaNetCell): ...


class GatedDeltaNetCell(MatrixCell, citation="yang2025gated", family="input-gated"):
    r"""DeltaNet with a forget gate [yang2025gated]_.

    As :class:`DeltaNet`, it stores values in a matrix, each under a key, in place of what is there
    under it; and it can forget all of them at once. Use it for recall of many pairs where the
    subject changes, in deep stacks.

    .. math::
        \tilde q_t &= \mathrm{SiLU}(W_q x_t + b_q) \quad\text{and so}\quad
            \tilde k_t, v_t, \qquad \beta_t = \sigma(W_b x_t + b_b) \\
        q_t &= \tilde q_t / \sqrt{|\tilde q_t|^2 + \epsilon} \quad\text{and so}\quad k_t \\
        \alpha_t &= \exp(-e^A \mathrm{softplus}(W_a x_t + b_a)) \\
        u_t &= \beta_t (v_t - \alpha_t S_{t-1}^\top k_t) \\
        S_t &= \alpha_t S_{t-1} + k_t u_t^\top \\
        y_t &= S_t^\top q_t / \sqrt d

    Each of ``num_heads`` heads has a share of q, k, v, a matrix S and one number A, :math:`\alpha`
    and :math:`\beta`; :math:`d` is the width of its key. The state has the matrices row by row. The
    keys and queries of all heads take turns, number by number; values lie head by head.

    Args:
        epsilon: :math:`\epsilon`, for a key of zeros.

    Sources: the first author's flash-linear-attention, ``fla/layers/gated_deltanet.py``, with its
    initialisation, without its convolutions before q, k and v and its gated norm after y; it has no
    biases but that of a, and values twice as wide as keys.
    """

    epsilon: float = 1e-6
    kernel_init: Initializer = "hidden_uniform_columns"
    a_kernel_init: Initializer = decays_
    first = {"a": paces()}

    @staticmethod
    def step(
        S: MatrixState,
        q: Projected,
        k: Projected,
        v: Projected,
        a: HeadGate,
        b: HeadGate,
        A: Decay,
        rows: Rows,
        columns: Columns,
        fold: Fold,
        heads: HeadSum,
        keys: ToKeys,
        values: ToValues,
        scale: Constant,
        epsilon: Constant,
    ) -> tuple[Output, Tensor]:
        q, k = silu(q), silu(k)
        q = q / keys(sqrt(heads(q * q) + epsilon))
        k = k / keys(sqrt(heads(k * k) + epsilon))
        S = columns(values(exp(-exp(A) * softplus(a)))) * S
        u = values(sigmoid(b)) * (silu(v) - fold(rows(k) * S))
        S = S + rows(k) * columns(u)
        return fold(rows(q) * S) / scale, S


class GatedDeltaNet(RecurrentLayer, cell=GatedDeltaNetCell): ...
