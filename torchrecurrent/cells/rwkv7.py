"""The time mixing of RWKV-7 (Peng et al., 2025)."""

from collections.abc import Callable
from typing import Annotated

import torch
from torch import Tensor, exp, nn, sigmoid, sqrt, tanh
from torch.nn.functional import logsigmoid

from ..heads import HeadFold, HeadSum, MatrixCell, ToKeys, ToValues, ValueSum, by_turns_
from ..init import INITIALIZERS, Initializer, gain
from ..layers.named import RecurrentLayer
from ..roles import (
    INPUT,
    Columns,
    Constant,
    Function,
    Input,
    MapRole,
    MatrixState,
    Output,
    Rows,
    StateRole,
    VectorRole,
    Weight,
)

__all__ = ["RWKV7", "RWKV7Cell"]

Previous = Annotated[Tensor, StateRole("input_size")]
Mix = Annotated[Tensor, VectorRole(Weight("weight_mix", None, "mix_"), "input_size")]
Mixed = Annotated[Function, MapRole(INPUT, columns="input_size", always_dense=True)]
DOWN = Weight("weight_down", None, "down_")
NarrowDecay = Annotated[Function, MapRole(DOWN, "decay_rank", "input_size", True)]
NarrowRate = Annotated[Function, MapRole(DOWN, "rate_rank", "input_size", True)]
NarrowGate = Annotated[Function, MapRole(DOWN, "gate_rank", "input_size", True)]
Decay = Annotated[
    Function,
    MapRole(Weight("weight_decay", "bias_decay", "decay_"), "hidden_size", "decay_rank", True),
]
Rate = Annotated[
    Function,
    MapRole(Weight("weight_rate", "bias_rate", "rate_"), "hidden_size", "rate_rank", True),
]
Gate = Annotated[
    Function, MapRole(Weight("weight_gate", None, "gate_"), "hidden_size", "gate_rank", True)
]
Key = Annotated[Tensor, VectorRole(Weight("weight_key", None, "key_"))]
Bonus = Annotated[Tensor, VectorRole(Weight("weight_bonus", None, "bonus_"))]
Norm = Annotated[Tensor, VectorRole(Weight("weight_norm", None, "norm_"))]
Readout = Annotated[
    Function, MapRole(Weight("weight_out", None, "output_"), "input_size", always_dense=True)
]


def fall_(mu: Tensor) -> Tensor:
    """Fill with 1 - (k / n)^0.7 for unit k of n, counted from 0."""
    return mu.copy_(1 - (torch.arange(mu.size(0)) / mu.size(0)) ** 0.7)


def early_fall_(mu: Tensor) -> Tensor:
    """Likewise with the power 0.2."""
    return mu.copy_(1 - (torch.arange(mu.size(0)) / mu.size(0)) ** 0.2)


def late_fall_(mu: Tensor) -> Tensor:
    """Likewise with the power 0.9."""
    return mu.copy_(1 - (torch.arange(mu.size(0)) / mu.size(0)) ** 0.9)


def low_rank_(kernel: Tensor) -> Tensor:
    """Fill with 0.1 times an orthogonal matrix, and more if it has more columns than rows."""
    rows, columns = kernel.shape
    INITIALIZERS["orthogonal"](kernel)
    return kernel.mul_(0.1 * max(1.0, columns / rows) ** 0.5)


class RWKV7Cell(MatrixCell, citation="peng2025rwkv", family="input-gated"):
    r"""Time mixing of RWKV, version 7, Goose [peng2025rwkv]_.

    A head stores values in a matrix, each under a key, which a receptance r reads. The input
    decides how fast each row fades, and how much of what is there under a key is taken out before:
    a step of gradient descent with a rate a for each row. Use it in deep stacks with residual
    connections, each followed by a feed-forward layer, for text, and for tasks where a state has to
    be tracked.

    .. math::
        \hat r_t &= x_t + \mu_r \odot (x_{t-1} - x_t)
            \quad\text{and so}\quad \hat k_t, \hat v_t, \hat w_t, \hat a_t, \hat g_t \\
        r_t &= R \hat r_t + d_R, \qquad k_t = K \hat k_t + d_K, \qquad v_t = V \hat v_t + d_V \\
        w_t &= \exp(-e^{-1/2}\, \sigma(D \tanh(F_w \hat w_t) + d_D)) \\
        a_t &= \sigma(A F_a \hat a_t + d_A), \qquad g_t = G\, \sigma(F_g \hat g_t) \\
        \kappa_t &= \xi \odot k_t, \qquad \hat\kappa_t = \kappa_t / |\kappa_t|, \qquad
            \tilde k_t = k_t \odot (1 + \alpha \odot (a_t - 1)) \\
        S_t &= (\mathrm{diag}(w_t) - (a_t \odot \hat\kappa_t) \hat\kappa_t^\top) S_{t-1}
            + \tilde k_t v_t^\top \\
        p_t &= \gamma \odot n_t + \beta + (\rho \odot r_t)^\top \tilde k_t\, v_t \\
        y_t &= O(g_t \odot p_t)

    where :math:`n_t` is :math:`S_t^\top r_t` less its mean, divided by the root of its variance and
    :math:`\epsilon`, in each head. Each of ``num_heads`` heads has a share of all these numbers and
    a matrix S, which the state has row by row. The numbers of r, k, :math:`\kappa`, w and a of all
    heads take turns; values lie head by head. The output y is as wide as the input.

    In what D, A and :math:`\xi` begin with, m rises evenly from -1/2 to 1/2 through all heads, and
    :math:`z = s |s|`, where s rises evenly from -1 to 1 in each.

    Args:
        decay_rank: how many numbers :math:`F_w \hat w_t` has; the authors' code has 2.5 times the
            root of the width in it and in the next, and 5 times in the last, and at least 32.
        rate_rank: how many :math:`F_a \hat a_t` has.
        gate_rank: how many :math:`F_g \hat g_t` has.
        mix_kernel_init: initialiser of :math:`\mu`; those of r and g begin with the power 0.2 in
            place of 0.7, those of w and a with 0.9.
        epsilon: :math:`\epsilon`.

    Sources: the authors' repository BlinkDL/RWKV-LM, ``RWKV-v7/rwkv_v7_numpy.py``, and
    ``RWKV-v7/train_temp/src/model.py`` with the first values of its first layer. Layers after the
    first mix its values into theirs, which a cell can't see and which is left out. There O begins
    with zeros, which needs a residual connection; here it begins as V does. The norm of
    :math:`\kappa` is at least :math:`10^{-12}` there; here as much is added to its square. R, K and
    V have no biases there.
    """

    decay_rank: int = 32
    rate_rank: int = 32
    gate_rank: int = 32
    epsilon: float = 64e-5
    kernel_init: Initializer = "hidden_uniform_columns"
    mix_kernel_init: Initializer = fall_
    down_kernel_init: Initializer = "zeros"
    decay_kernel_init: Initializer = low_rank_
    decay_bias: bool = True
    decay_bias_init: Initializer = "zeros"
    rate_kernel_init: Initializer = low_rank_
    rate_bias: bool = True
    rate_bias_init: Initializer = "zeros"
    gate_kernel_init: Initializer = low_rank_
    key_kernel_init: Initializer = "ones"
    bonus_kernel_init: Initializer = "zeros"
    norm_kernel_init: Initializer = "ones"
    output_kernel_init: Initializer = "hidden_uniform_columns"
    first = {
        "weight_ih.R": gain(0.5),
        "weight_ih.K": gain(0.05),
        "weight_ih.V": gain(0.5),
        "weight_out.O": gain(0.5),
        "mu_r": early_fall_,
        "mu_g": early_fall_,
        "mu_w": late_fall_,
        "mu_a": late_fall_,
        "D": "decays",
        "A": "rates",
        "xi": "removals",
        "alpha": 0.02,
        "rho": -0.04,
        "beta": nn.init.zeros_,
    }

    @staticmethod
    def step(
        S: MatrixState,
        x_prev: Previous,
        x: Input,
        mu_r: Mix,
        mu_k: Mix,
        mu_v: Mix,
        mu_w: Mix,
        mu_a: Mix,
        mu_g: Mix,
        R: Mixed,
        K: Mixed,
        V: Mixed,
        F_w: NarrowDecay,
        F_a: NarrowRate,
        F_g: NarrowGate,
        D: Decay,
        A: Rate,
        G: Gate,
        xi: Key,
        alpha: Key,
        rho: Bonus,
        gamma: Norm,
        beta: Norm,
        O: Readout,
        rows: Rows,
        columns: Columns,
        fold: HeadFold,
        heads: HeadSum,
        keys: ToKeys,
        values: ToValues,
        total: ValueSum,
        width: Constant,
        epsilon: Constant,
    ) -> tuple[Output, Tensor, Tensor]:
        d = x_prev - x
        r, k, v = R(x + mu_r * d), K(x + mu_k * d), V(x + mu_v * d)
        w = exp(-exp(logsigmoid(D(tanh(F_w(x + mu_w * d)))) - 0.5))
        a = sigmoid(A(F_a(x + mu_a * d)))
        g = G(sigmoid(F_g(x + mu_g * d)))
        kappa = xi * k
        kappa = kappa / keys(sqrt(heads(kappa * kappa) + 1e-12))
        k = k * (1 + alpha * (a - 1))
        u = columns(fold(rows(kappa) * S))
        S = rows(w) * S - rows(a * kappa) * u + rows(k) * columns(v)
        o = fold(rows(r) * S)
        o = o - values(total(o) / width)
        n = o / values(sqrt(total(o * o) / width + epsilon))
        p = gamma * n + beta + values(heads(rho * r * k)) * v
        return O(g * p), S, x

    @property
    def decays(self) -> Initializer:
        """-2.5 + 6 m + 2.5 z for the bias of D."""
        return self._by_turns("decays_", lambda m, z: -2.5 + 6 * m + 2.5 * z)

    @property
    def rates(self) -> Initializer:
        """-0.19 + 0.4 m + 0.3 z for the bias of A."""
        return self._by_turns("rates_", lambda m, z: -0.19 + 0.4 * m + 0.3 * z)

    @property
    def removals(self) -> Initializer:
        """0.71 - 0.1 m for xi."""
        return self._by_turns("removals_", lambda m, z: 0.71 - 0.1 * m)

    def _by_turns(self, name: str, value: Callable[[Tensor, Tensor], Tensor]) -> Initializer:
        """Fill with a function of a line through all heads and of a curve in each of them."""
        size = self.hidden_size // self.num_heads
        m = torch.linspace(-0.5, 0.5, self.hidden_size)
        z = torch.linspace(-1, 1, size) if size > 1 else torch.zeros(1)
        found = value(m, (z * z.abs()).repeat(self.num_heads))

        def fill(key: Tensor) -> Tensor:
            return by_turns_(key, lambda each: each.copy_(found), self.num_heads)

        fill.__name__ = name
        return fill

    @property
    def width(self) -> float:
        """How many numbers a head's value has."""
        return float(self.hidden_size // self.num_heads)

    @property
    def output_size(self) -> int:
        return self.input_size

    def check_options(self) -> None:
        super().check_options()
        for name in ("decay_rank", "rate_rank", "gate_rank"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} should be at least 1, got {getattr(self, name)}")


class RWKV7(RecurrentLayer, cell=RWKV7Cell): ...
