"""The piecewise-linear recurrent network (Koppe et al., 2019)."""

import math
from typing import Annotated

import torch
from torch import Tensor, relu

from ..cell import BaseRecurrentCell
from ..constraints import off_diagonal
from ..init import Initializer, variance_scaling
from ..layers.named import RecurrentLayer
from ..roles import Map, Projected, State, VectorRole, Weight

__all__ = ["PLRNN", "PLRNNCell"]

Decay = Annotated[Tensor, VectorRole(Weight("weight_a", None, "decay_"))]


def contract_(kernel: Tensor, decay: Tensor) -> None:
    r"""Divide both by :math:`1 + \sqrt H` until A + W has no eigenvalue larger than 1."""
    width = kernel.size(1) if kernel.dim() > 1 else 1
    blocks = off_diagonal(kernel).double().view(-1, width, width)
    matrix = blocks + torch.diag_embed(decay.double().view(-1, width))
    radius, factor = torch.linalg.eigvals(matrix).abs().max(), 1 + math.sqrt(decay.numel())
    times = (radius.log() / math.log(factor)).ceil().clamp(min=0)
    for each in (kernel, decay):
        each.mul_(factor**-times)


class PLRNNCell(BaseRecurrentCell, citation="koppe2019identifying", family="simple"):
    r"""Piecewise-linear recurrent network, PLRNN [koppe2019identifying]_.

    Linear wherever no unit changes its sign, so that its fixed points and cycles can be computed
    exactly. Use it to find the dynamical system behind a time series, as in neuroscience.

    .. math::
        z_t = A \odot z_{t-1} + W \mathrm{relu}(z_{t-1}) + W_s x_t + b_s

    where W has a diagonal of zeros: what ``weight_hh`` has there does not count.

    Sources: the authors' repository DurstewitzLab/reg-PLRNN,
    ``machine_learning_benchmarks/benchmark_run/gdplrnn/model.py``, whose readout is not included;
    nor is its learned first state, for which there is ``initial_state``.
    """

    recurrent_bias: bool | None = False
    kernel_init: Initializer = variance_scaling(0.02, mode="fan_out")
    recurrent_kernel_init: Initializer = "lecun_normal"
    decay_kernel_init: Initializer = variance_scaling(1.0, mode="fan_out")
    bias_init: Initializer = variance_scaling(1.0, mode="fan_out")
    first = {("weight_hh.W", "A"): contract_}

    @staticmethod
    def step(z: State, s: Projected, A: Decay, W: Map) -> Tensor:
        return A * z + W(relu(z)) + s

    def recurrent_kernel(self) -> Tensor:
        return off_diagonal(super().recurrent_kernel())


class PLRNN(RecurrentLayer, cell=PLRNNCell): ...
