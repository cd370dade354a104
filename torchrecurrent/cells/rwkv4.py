"""The time mixing of RWKV-4 (Peng et al., 2023)."""

import math
from typing import Annotated

import torch
from torch import Tensor, exp, maximum, minimum, nn, sigmoid, where

from ..cell import BaseRecurrentCell
from ..init import Initializer, power_law
from ..layers.named import RecurrentLayer
from ..roles import INPUT, Function, Input, MapRole, Output, State, StateRole, VectorRole, Weight

__all__ = ["RWKV4", "RWKV4Cell"]

Previous = Annotated[Tensor, StateRole("input_size")]
Mix = Annotated[Tensor, VectorRole(Weight("weight_mix", None, "mix_"), "input_size")]
Decay = Annotated[Tensor, VectorRole(Weight("weight_decay", None, "decay_"))]
Bonus = Annotated[Tensor, VectorRole(Weight("weight_bonus", None, "bonus_"))]
Mixed = Annotated[Function, MapRole(INPUT, columns="input_size", always_dense=True)]
Readout = Annotated[
    Function, MapRole(Weight("weight_out", None, "output_"), "input_size", always_dense=True)
]


def ramp_(mu: Tensor) -> Tensor:
    """Fill with k / n for unit k of n, counted from 0."""
    return mu.copy_(torch.arange(mu.size(0)) / mu.size(0))


def zigzag_(bonus: Tensor) -> Tensor:
    """Fill with log 0.3, and 0, 1/2 and -1/2 in turn added to it."""
    return bonus.copy_((torch.arange(bonus.size(0)) + 1) % 3 / 2 - 0.5 + math.log(0.3))


class RWKV4Cell(BaseRecurrentCell, citation="peng2023rwkv", family="input-gated"):
    r"""Time mixing of RWKV, version 4 [peng2023rwkv]_.

    Attention without queries: an average of all values so far, each weighted by an exponential of
    its key that decays from step to step, with a bonus for the newest. Use it in deep stacks with
    residual connections, each followed by a feed-forward layer, for text.

    .. math::
        k_t &= K(\mu_k \odot x_t + (1 - \mu_k) \odot x_{t-1}) + d_K \\
        v_t &= V(\mu_v \odot x_t + (1 - \mu_v) \odot x_{t-1}) + d_V \\
        r_t &= R(\mu_r \odot x_t + (1 - \mu_r) \odot x_{t-1}) + d_R \\
        a_t &= e^{-e^w} \odot a_{t-1} + e^{k_t} \odot v_t, \qquad
            b_t = e^{-e^w} \odot b_{t-1} + e^{k_t} \\
        y_t &= O\left(\sigma(r_t) \odot
            \frac{a_{t-1} + e^{u + k_t} \odot v_t}{b_{t-1} + e^{u + k_t}}\right)

    The states a and b are kept divided by :math:`e^{p}`, where p is the largest exponent so far, so
    that none overflows. The output y is as wide as the input.

    Args:
        mix_kernel_init: initialiser of :math:`\mu`; that of r begins with the square root.

    Sources: the authors' repository BlinkDL/RWKV-LM, ``RWKV-v4/src/model.py`` and
    ``model_run.py``, with the first values of its first layer; w, :math:`\mu` and the bonus of
    others differ. There O begins with zeros, which needs a residual connection; here it is
    orthogonal, like V. Theirs has no biases.
    """

    kernel_init: Initializer = "orthogonal"
    mix_kernel_init: Initializer = ramp_
    decay_kernel_init: Initializer = power_law(-5.0, 3.0, 0.7)
    bonus_kernel_init: Initializer = zigzag_
    output_kernel_init: Initializer = "orthogonal"
    first = {
        "weight_ih.K": nn.init.zeros_,
        "weight_ih.R": nn.init.zeros_,
        "mu_r": Tensor.sqrt_,
    }

    @staticmethod
    def step(
        a: State,
        b: State,
        p: State,
        x_prev: Previous,
        x: Input,
        mu_k: Mix,
        mu_v: Mix,
        mu_r: Mix,
        K: Mixed,
        V: Mixed,
        R: Mixed,
        w: Decay,
        u: Bonus,
        O: Readout,
    ) -> tuple[Output, Tensor, Tensor, Tensor, Tensor]:
        d = x - x_prev
        k, v, r = K(x_prev + mu_k * d), V(x_prev + mu_v * d), R(x_prev + mu_r * d)
        m = where(b == 0, u + k, maximum(p, u + k))
        past, now = exp(minimum(p, m) - m), exp(u + k - m)
        y = sigmoid(r) * (past * a + now * v) / (past * b + now)
        q = p - exp(w)
        p = where(b == 0, k, maximum(q, k))
        past, now = exp(minimum(q, p) - p), exp(k - p)
        return O(y), past * a + now * v, past * b + now, p, x

    @property
    def output_size(self) -> int:
        return self.input_size


class RWKV4(RecurrentLayer, cell=RWKV4Cell): ...
