"""The time mixing of RWKV-6 (Peng et al., 2024)."""

from typing import Annotated

import torch
from torch import Tensor, exp, sqrt, tanh
from torch.nn.functional import silu

from ..heads import HeadFold, MatrixCell, ToValues, ValueSum, by_turns_
from ..init import Initializer, gain, power_law, uniform
from ..layers.named import RecurrentLayer
from ..roles import (
    INPUT,
    Columns,
    Constant,
    Function,
    Functions,
    Input,
    MapRole,
    MatrixState,
    Output,
    Rows,
    StateRole,
    VectorRole,
    Weight,
)

__all__ = ["RWKV6", "RWKV6Cell"]

Previous = Annotated[Tensor, StateRole("input_size")]
Shift = Annotated[Tensor, VectorRole(Weight("weight_shift", None, "shift_"), "input_size")]
DOWN = Weight("weight_mix_down", None, "mix_down_")
NarrowMix = Annotated[
    Functions, MapRole(DOWN, "mix_rank", "input_size", True, results=("k", "v", "r", "g", "w"))
]
Mix = Annotated[
    Function, MapRole(Weight("weight_mix", "bias_mix", "mix_"), "input_size", "mix_rank", True)
]
Mixed = Annotated[Function, MapRole(INPUT, columns="input_size", always_dense=True)]
Narrow = Annotated[
    Function,
    MapRole(Weight("weight_decay_down", None, "decay_down_"), "decay_rank", "input_size", True),
]
Decay = Annotated[
    Function,
    MapRole(Weight("weight_decay", "bias_decay", "decay_"), "hidden_size", "decay_rank", True),
]
Bonus = Annotated[Tensor, VectorRole(Weight("weight_bonus", None, "bonus_"))]
Norm = Annotated[Tensor, VectorRole(Weight("weight_norm", None, "norm_"))]
Readout = Annotated[
    Function, MapRole(Weight("weight_out", None, "output_"), "input_size", always_dense=True)
]


def fall_(mu: Tensor) -> Tensor:
    """Fill with 1 - k / n for unit k of n, counted from 0."""
    return mu.copy_(1 - torch.arange(mu.size(0)) / mu.size(0))


def root_fall_(mu: Tensor) -> Tensor:
    """Fill with 1 less the square root of k / n for unit k of n, counted from 0."""
    return mu.copy_(1 - (torch.arange(mu.size(0)) / mu.size(0)).sqrt())


def zigzag_(bonus: Tensor) -> Tensor:
    """Fill with 0, 0.1 and -0.1 in turn."""
    return bonus.copy_(((torch.arange(bonus.size(0)) + 1) % 3 - 1) / 10)


class RWKV6Cell(MatrixCell, citation="peng2024eagle", family="input-gated"):
    r"""Time mixing of RWKV, version 6, Finch [peng2024eagle]_.

    A head adds values to a matrix, each under a key, which a receptance r reads, with a bonus for
    the newest. The input decides how fast each row fades, and how much of the input before counts
    for what. Use it in deep stacks with residual connections, each followed by a feed-forward
    layer, for text.

    .. math::
        z_t &= x_t + \mu \odot (x_{t-1} - x_t) \\
        \hat k_t &= x_t + (B_k \tanh(A_k z_t) + d_{B_k}) \odot (x_{t-1} - x_t)
            \quad\text{and so}\quad \hat v_t, \hat r_t, \hat g_t, \hat w_t \\
        k_t &= K \hat k_t + d_K, \qquad v_t = V \hat v_t + d_V, \qquad r_t = R \hat r_t + d_R,
            \qquad g_t = G \hat g_t + d_G \\
        w_t &= \exp(-\exp(D \tanh(C \hat w_t) + d_D)) \\
        o_t &= (S_{t-1} + (u \odot k_t) v_t^\top)^\top r_t \\
        S_t &= (w_t 1^\top) \odot S_{t-1} + k_t v_t^\top \\
        y_t &= O(\mathrm{SiLU}(g_t) \odot (\gamma \odot n_t + \beta))

    where :math:`n_t` is :math:`o_t` less the mean of its head, divided by the root of the head's
    variance and :math:`\epsilon`. Each of ``num_heads`` heads has a share of r, k, v, w, u and g
    and a matrix S, which the state has row by row. The numbers of r, k, w and u of all heads take
    turns; values lie head by head. The output y is as wide as the input.

    Args:
        mix_rank: how many numbers each :math:`A z_t` has.
        decay_rank: how many :math:`C \hat w_t` has.
        mix_bias_init: initialiser of :math:`d_B`, what the mix is before the input changes it;
            those of r and g begin with :math:`1 - \sqrt{k / n}`.
        epsilon: :math:`\epsilon`.

    Sources: the authors' repository BlinkDL/RWKV-LM, ``RWKV-v5/rwkv_v6_demo.py`` and
    ``RWKV-v5/src/model.py``, with the first values of its first layer; those of others differ, of
    :math:`\gamma` too. There O begins with zeros, which needs a residual connection; here it is
    orthogonal, like V. K, V, R and G have no biases there. The recurrence alone is also in
    fla-org/flash-linear-attention, ``fla/ops/rwkv6/recurrent_naive.py``.
    """

    mix_rank: int = 32
    decay_rank: int = 64
    epsilon: float = 64e-5
    kernel_init: Initializer = "orthogonal"
    shift_kernel_init: Initializer = fall_
    mix_down_kernel_init: Initializer = "zeros"
    mix_kernel_init: Initializer = uniform(-0.01, 0.01)
    mix_bias: bool = True
    mix_bias_init: Initializer = fall_
    decay_down_kernel_init: Initializer = "zeros"
    decay_kernel_init: Initializer = uniform(-0.01, 0.01)
    decay_bias: bool = True
    decay_bias_init: Initializer = "zeros"
    norm_kernel_init: Initializer = "ones"
    output_kernel_init: Initializer = "orthogonal"
    first = {
        "weight_ih.K": gain(0.1),
        "weight_ih.G": gain(0.1),
        "B_r": root_fall_,
        "B_g": root_fall_,
        "D": "falling",
        "beta": torch.nn.init.zeros_,
    }

    @staticmethod
    def step(
        S: MatrixState,
        x_prev: Previous,
        x: Input,
        mu: Shift,
        A: NarrowMix,
        B_k: Mix,
        B_v: Mix,
        B_r: Mix,
        B_g: Mix,
        B_w: Mix,
        K: Mixed,
        V: Mixed,
        R: Mixed,
        G: Mixed,
        C: Narrow,
        D: Decay,
        u: Bonus,
        gamma: Norm,
        beta: Norm,
        O: Readout,
        rows: Rows,
        columns: Columns,
        fold: HeadFold,
        values: ToValues,
        total: ValueSum,
        width: Constant,
        epsilon: Constant,
    ) -> tuple[Output, Tensor, Tensor]:
        d = x_prev - x
        k, v, r, g, w = A(x + mu * d)
        k, v = K(x + B_k(tanh(k)) * d), V(x + B_v(tanh(v)) * d)
        r, g = R(x + B_r(tanh(r)) * d), G(x + B_g(tanh(g)) * d)
        w = exp(-exp(D(tanh(C(x + B_w(tanh(w)) * d)))))
        o = fold(rows(r) * (S + rows(u * k) * columns(v)))
        S = rows(w) * S + rows(k) * columns(v)
        o = o - values(total(o) / width)
        n = o / values(sqrt(total(o * o) / width + epsilon))
        return O(silu(g) * (gamma * n + beta)), S, x

    @property
    def falling(self) -> Initializer:
        """``power_law(-6, -1, 0.7)`` for the bias of D, from head to head."""

        def falling_(bias: Tensor) -> Tensor:
            return by_turns_(bias, power_law(-6.0, -1.0, 0.7), self.num_heads)

        return falling_

    @property
    def bonus_kernel_init(self) -> Initializer:
        """0, 0.1 and -0.1 in turn, head by head."""
        return lambda bonus: by_turns_(bonus, zigzag_, self.num_heads)

    @property
    def width(self) -> float:
        """How many numbers a head's value has."""
        return float(self.hidden_size // self.num_heads)

    @property
    def output_size(self) -> int:
        return self.input_size

    def check_options(self) -> None:
        super().check_options()
        for name in ("mix_rank", "decay_rank"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} should be at least 1, got {getattr(self, name)}")


class RWKV6(RecurrentLayer, cell=RWKV6Cell): ...
