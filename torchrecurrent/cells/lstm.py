"""Long short-term memory, with forget gate and optional projection."""

from typing import Annotated, ClassVar

from torch import Tensor, sigmoid, tanh

from ..cell import BaseRecurrentCell
from ..init import Initializer
from ..interop.onnx_operator import OnnxOperator
from ..interop.torch_twin import TorchTwin
from ..layers.named import RecurrentLayer
from ..roles import Function, Gate, MapRole, State, StateRole, Weight

__all__ = ["LSTM", "LSTMCell"]

Projected = Annotated[Tensor, StateRole("output_size")]
PROJECTION = Weight("weight_hr", None, "projection_")
Projection = Annotated[Function, MapRole(PROJECTION, "proj_size", always_dense=True)]


class LSTMCell(BaseRecurrentCell, citation="hochreiter1997long", family="LSTM-like"):
    r"""Long short-term memory [hochreiter1997long]_ with a forget gate [gers2000learning]_.

    The cell of :class:`torch.nn.LSTMCell`, parameter for parameter. Try it first; with
    ``recurrence="diagonal"`` it is IndyLSTM [gonnet2020indylstms]_.

    .. math::
        i_t &= \sigma(W_i x_t + b_i + U_i h_{t-1} + d_i) \quad\text{and so}\quad f_t, o_t \\
        g_t &= \tanh(W_g x_t + b_g + U_g h_{t-1} + d_g) \\
        c_t &= f_t \odot c_{t-1} + i_t \odot g_t, \qquad h_t = P (o_t \odot \tanh c_t)

    Args:
        proj_size: width of h after the projection P [sak2014long]_; 0: no projection.
    """

    proj_size: int = 0
    kernel_init: Initializer = "hidden_uniform"
    recurrent_kernel_init: Initializer = "hidden_uniform"
    projection_kernel_init: Initializer = "hidden_uniform_columns"
    bias_init: Initializer = "hidden_uniform"
    recurrent_bias_init: Initializer = "hidden_uniform"

    @staticmethod
    def step(
        h: Projected, c: State, i: Gate, f: Gate, g: Gate, o: Gate, P: Projection
    ) -> tuple[Tensor, Tensor]:
        i, f, g, o = sigmoid(i), sigmoid(f), tanh(g), sigmoid(o)
        c = f * c + i * g
        return P(o * tanh(c)), c

    onnx_operator: ClassVar[OnnxOperator | None] = OnnxOperator(
        "LSTM", inputs=("i", "o", "f", "g"), states=("i", "o", "f", "g")
    )
    torch_twins: ClassVar[tuple[TorchTwin, ...]] = (
        TorchTwin("lstm", gates=4, projection=PROJECTION.name),
    )

    @property
    def papers(self) -> tuple[str, ...]:
        diagonal = ("gonnet2020indylstms",) if self.recurrence == "diagonal" else ()
        projected = ("sak2014long",) if self.proj_size else ()
        return (*super().papers, "gers2000learning", *diagonal, *projected)

    @property
    def output_size(self) -> int:
        return self.proj_size or self.hidden_size

    def check_options(self) -> None:
        if self.proj_size >= self.hidden_size:
            raise ValueError(
                "proj_size has to be smaller than hidden_size, "
                f"got proj_size={self.proj_size}, hidden_size={self.hidden_size}"
            )


class LSTM(RecurrentLayer, cell=LSTMCell):
    """A :class:`torch.nn.LSTM` state dict loads as it is."""
