"""Gated recurrent units, with the reset gate after or before the recurrent product."""

from typing import ClassVar

from torch import Tensor, sigmoid, tanh

from ..cell import BaseRecurrentCell
from ..init import Initializer
from ..interop.onnx_operator import OnnxOperator
from ..interop.torch_twin import TorchTwin
from ..layers.named import RecurrentLayer
from ..roles import Gate, Hidden, Map, Projected, State

__all__ = ["GRU", "GRUCell", "GRUResetBefore", "GRUResetBeforeCell"]


class GRUCell(BaseRecurrentCell, citation="cho2014learning", family="GRU-like"):
    r"""Gated recurrent unit [cho2014learning]_, reset after the recurrent product.

    The cell of :class:`torch.nn.GRUCell` and cuDNN, parameter for parameter. With one product per
    step it is faster than :class:`GRUResetBeforeCell`.

    .. math::
        r_t &= \sigma(W_r x_t + b_r + U_r h_{t-1} + d_r) \quad\text{and so}\quad z_t \\
        n_t &= \tanh(W_n x_t + b_n + r_t \odot (U_m h_{t-1} + d_m)) \\
        h_t &= (1 - z_t) \odot n_t + z_t \odot h_{t-1}
    """

    kernel_init: Initializer = "hidden_uniform"
    recurrent_kernel_init: Initializer = "hidden_uniform"
    bias_init: Initializer = "hidden_uniform"
    recurrent_bias_init: Initializer = "hidden_uniform"

    @staticmethod
    def step(h: State, r: Gate, z: Gate, n: Projected, m: Hidden) -> Tensor:
        r, z = sigmoid(r), sigmoid(z)
        n = tanh(n + r * m)
        return (1 - z) * n + z * h

    onnx_operator: ClassVar[OnnxOperator | None] = OnnxOperator(
        "GRU",
        inputs=("z", "r", "n"),
        states=("z", "r", "m"),
        attributes={"linear_before_reset": 1},  # the product first, then the reset gate
    )
    torch_twins: ClassVar[tuple[TorchTwin, ...]] = (TorchTwin("gru", gates=3),)


class GRU(RecurrentLayer, cell=GRUCell):
    """A :class:`torch.nn.GRU` state dict loads as it is."""


class GRUResetBeforeCell(BaseRecurrentCell, citation="cho2014learning", family="GRU-like"):
    r"""Gated recurrent unit as published [cho2014learning]_: reset before the product.

    The reset gate chooses how much of the state the candidate sees. The second product waits for
    the first, so a step takes longer than :class:`GRUCell`'s.

    .. math::
        r_t &= \sigma(W_r x_t + b_r + U_r h_{t-1} + d_r) \quad\text{and so}\quad z_t \\
        n_t &= \tanh(W_n x_t + b_n + U (r_t \odot h_{t-1}) + d_U) \\
        h_t &= (1 - z_t) \odot n_t + z_t \odot h_{t-1}

    Sources: the authors' lisa-groundhog/GroundHog, ``groundhog/layers/rec_layers.py``, which has
    orthogonal recurrent kernels too. There, and in [chung2014empirical]_, z and 1 - z are
    swapped.
    """

    recurrent_kernel_init: Initializer = "orthogonal"

    @staticmethod
    def step(h: State, r: Gate, z: Gate, n: Projected, U: Map) -> Tensor:
        r, z = sigmoid(r), sigmoid(z)
        n = tanh(n + U(r * h))
        return (1 - z) * n + z * h


class GRUResetBefore(RecurrentLayer, cell=GRUResetBeforeCell): ...
