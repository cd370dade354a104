"""The gated orthogonal recurrent unit (Jing et al., 2019)."""

from typing import Annotated

import torch
from torch import Tensor, relu, sigmoid, sign

from ..cell import BaseRecurrentCell
from ..constraints import orthogonal
from ..init import Initializer, henaff_, uniform
from ..layers.named import RecurrentLayer
from ..roles import Gate, Hidden, Projected, State, VectorRole, Weight

__all__ = ["GORU", "GORUCell"]

Threshold = Annotated[Tensor, VectorRole(Weight("weight_threshold", None, "threshold_"))]


class GORUCell(BaseRecurrentCell, citation="jing2019gated", family="GRU-like"):
    r"""Gated orthogonal recurrent unit, GORU [jing2019gated]_.

    A GRU whose candidate sees the state rotated, through modReLU with a threshold t. Use it where a
    task needs memory and forgetting. A is what ``weight_hh`` has for m, above the diagonal.

    .. math::
        r_t &= \sigma(W_r x_t + b_r + U_r h_{t-1} + d_r) \quad\text{and so}\quad g_t \\
        c_t &= W_c x_t + b_c + r_t \odot (U_m h_{t-1} + d_m), \qquad U_m = e^{A - A^\top} \\
        h_t &= g_t \odot h_{t-1} + (1 - g_t) \odot\mathrm{sign}(c_t) \odot \mathrm{relu}(|c_t| + t)

    Sources: the authors' jingli9111/GORU-tensorflow, ``goru.py``. Its rotation is a product of
    rotations of pairs, it adds 0.001 to t, and c and m have no bias.
    """

    kernel_init: Initializer = uniform(-0.01, 0.01)
    recurrent_kernel_init: Initializer = uniform(-0.01, 0.01)
    threshold_kernel_init: Initializer = "zeros"
    first = {"weight_hh.m": henaff_, "r": 2.0, "t": 0.01}

    @staticmethod
    def step(h: State, r: Gate, g: Gate, c: Projected, m: Hidden, t: Threshold) -> Tensor:
        r, g = sigmoid(r), sigmoid(g)
        c = c + r * m
        return g * h + (1 - g) * sign(c) * relu(abs(c) + t)

    def recurrent_kernel(self) -> Tensor:
        kernel, rows = super().recurrent_kernel(), 2 * self.hidden_size
        assert kernel is not None
        return torch.cat([kernel[:rows], orthogonal(kernel[rows:])])


class GORU(RecurrentLayer, cell=GORUCell): ...
