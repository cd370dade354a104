"""The simple recurrent network of Elman (1990)."""

from typing import ClassVar

from torch import Tensor

from ..activations import Activation
from ..cell import BaseRecurrentCell
from ..init import Initializer
from ..interop.torch_twin import TorchTwin
from ..layers.named import RecurrentLayer
from ..roles import Gate, Nonlinearity, State

__all__ = ["RNN", "RNNCell"]


class RNNCell(BaseRecurrentCell, citation="elman1990finding", family="simple"):
    r"""Simple recurrent cell [elman1990finding]_.

    The cell of :class:`torch.nn.RNNCell`, parameter for parameter. Use it as a baseline, or with
    ``recurrent_kernel_init="orthogonal"`` or ``"eye"`` where gates cost too much.

    .. math::
        h_t = \phi(W_n x_t + b_n + U_n h_{t-1} + d_n)
    """

    nonlinearity: Activation = "tanh"
    kernel_init: Initializer = "hidden_uniform"
    recurrent_kernel_init: Initializer = "hidden_uniform"
    bias_init: Initializer = "hidden_uniform"
    recurrent_bias_init: Initializer = "hidden_uniform"

    @staticmethod
    def step(h: State, n: Gate, nonlinearity: Nonlinearity) -> Tensor:
        return nonlinearity(n)

    torch_twins: ClassVar[tuple[TorchTwin, ...]] = tuple(
        TorchTwin(f"rnn_{name}", gates=1, options=(("nonlinearity", name),))
        for name in ("tanh", "relu")
    )


class RNN(RecurrentLayer, cell=RNNCell):
    """A :class:`torch.nn.RNN` state dict loads as it is."""
