"""The Legendre memory unit (Voelker, Kajić and Eliasmith, 2019)."""

from typing import Annotated

import torch
from torch import Tensor, tanh

from ..cell import BaseRecurrentCell
from ..init import Initializer
from ..layers.named import RecurrentLayer
from ..roles import Function, Gate, Input, MapRole, State, StateRole, Weight

__all__ = ["LMU", "LMUCell"]

Memory = Annotated[Tensor, StateRole("order")]
EncodeInput = Annotated[
    Function,
    MapRole(Weight("weight_xu", None, "input_encoder_"), "signals", "input_size", True),
]
EncodeState = Annotated[
    Function,
    MapRole(Weight("weight_hu", None, "state_encoder_"), "signals", "hidden_size", True),
]
EncodeMemory = Annotated[
    Function, MapRole(Weight("weight_mu", None, "memory_encoder_"), "signals", "order", True)
]
Transition = Annotated[
    Function, MapRole(Weight("weight_mm", None, "transition_"), "order", "order", True)
]
Writing = Annotated[
    Function, MapRole(Weight("weight_um", None, "writing_"), "order", "signals", True)
]
Reading = Annotated[
    Function, MapRole(Weight("weight_mh", None, "memory_"), "hidden_size", "order", True)
]


def legendre(order: int, theta: float) -> tuple[Tensor, Tensor]:
    """Return the matrices of a step of the memory, in float64, by zero-order hold."""
    row = torch.arange(order, dtype=torch.float64).unsqueeze(1)
    power = (-1) ** row
    a = torch.where(row < row.T, -1, -power * power.T) * (2 * row + 1)
    both = torch.cat([a, power * (2 * row + 1)], 1) / theta
    held = torch.linalg.matrix_exp(torch.nn.functional.pad(both, (0, 0, 0, 1)))
    return held[:-1, :-1], held[:-1, -1:]


class LMUCell(BaseRecurrentCell, citation="voelker2019legendre", family="simple"):
    r"""Legendre memory unit [voelker2019legendre]_.

    A simple network beside a linear memory, which is not trained: it holds the last
    :math:`\theta` steps of one signal u as the coefficients of Legendre polynomials. Use it where
    many steps in a row have to be remembered, not single events.

    .. math::
        u_t &= e_x x_t + e_h h_{t-1} + e_m m_{t-1} \\
        m_t &= A m_{t-1} + B u_t \\
        h_t &= \tanh(W_n x_t + b_n + U_n h_{t-1} + d_n + M m_t)

    where A and B are a step, by zero-order hold, of :math:`\theta \dot m = \hat A m + \hat B u`
    with :math:`\hat A_{ij} = (2i + 1) (-1 \text{ if } i < j \text{, else } (-1)^{i-j+1})`,
    :math:`\hat B_i = (2i + 1) (-1)^i`, and i and j count from 0. Then
    :math:`u_{t-\tau} \approx \sum_i m_i P_i(2 \tau / \theta - 1)`, where :math:`P_i` is the i-th
    Legendre polynomial.

    Args:
        order: the number of polynomials, and the width of the memory m.
        theta: the length :math:`\theta` of the window, in steps.
        frozen: by default A and B, ``weight_mm`` and ``weight_um``, are not trained; with
            ``frozen=()`` they are.

    Sources: the authors' repository abr/neurips2019, ``lmu/lmu.py`` (read in a port to PyTorch,
    bjkomer/pytorch-legendre-memory-unit), with its initialisation; it has no biases. Its successor
    nengo/keras-lmu, ``keras_lmu/layers.py``, leaves out :math:`e_h` and :math:`e_m` by default, and
    may have several signals with a memory each, which is not included.
    """

    order: int = 8
    theta: float = 100.0
    frozen: tuple[str, ...] = ("weight_mm", "weight_um")
    kernel_init: Initializer = "xavier_normal"
    recurrent_kernel_init: Initializer = "xavier_normal"
    memory_kernel_init: Initializer = "xavier_normal"
    input_encoder_kernel_init: Initializer = "lecun_uniform"
    state_encoder_kernel_init: Initializer = "lecun_uniform"
    memory_encoder_kernel_init: Initializer = "zeros"

    #: The number of signals that are remembered.
    signals = 1

    @property
    def transition_kernel_init(self) -> Initializer:
        """a step of the memory's equation."""
        return lambda weight: weight.copy_(legendre(self.order, self.theta)[0])

    @property
    def writing_kernel_init(self) -> Initializer:
        """a step of the memory's equation."""
        return lambda weight: weight.copy_(legendre(self.order, self.theta)[1])

    @staticmethod
    def step(
        h: State,
        m: Memory,
        x: Input,
        n: Gate,
        e_x: EncodeInput,
        e_h: EncodeState,
        e_m: EncodeMemory,
        A: Transition,
        B: Writing,
        M: Reading,
    ) -> tuple[Tensor, Tensor]:
        u = e_x(x) + e_h(h) + e_m(m)
        m = A(m) + B(u)
        return tanh(n + M(m)), m

    def check_options(self) -> None:
        if not self.theta > 0:
            raise ValueError(f"theta should be greater than zero, got {self.theta}")


class LMU(RecurrentLayer, cell=LMUCell): ...
