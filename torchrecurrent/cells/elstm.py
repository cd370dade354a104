"""The element-wise LSTM of real-time recurrent learning (Irie et al., 2024)."""

from typing import Annotated

from torch import Tensor, sigmoid, tanh

from ..cell import BaseRecurrentCell, Recurrence
from ..init import Initializer, hidden_uniform_columns_, normal
from ..layers.named import RecurrentLayer
from ..roles import Function, Gate, MapRole, Output, Projected, State, Weight

__all__ = ["eLSTM", "eLSTMCell"]

OutputMap = Annotated[Function, MapRole(Weight("weight_out", None, "output_"), always_dense=True)]


class eLSTMCell(BaseRecurrentCell, citation="irie2024exploring", family="input-gated"):
    r"""Element-wise LSTM, eLSTM [irie2024exploring]_.

    An LSTM with coupled gates in which a unit sees the input and itself; only the output gate sees
    all units. Its exact gradients can be computed forwards in time, which the paper does for
    reinforcement learning. Use it where a :class:`QRNNCell` forgets too easily.

    .. math::
        f_t &= \sigma(W_f x_t + b_f + u_f \odot c_{t-1}) \\
        z_t &= \tanh(W_z x_t + b_z + u_z \odot c_{t-1}) \\
        c_t &= f_t \odot c_{t-1} + (1 - f_t) \odot z_t \\
        h_t &= \sigma(W_o x_t + b_o + O c_t) \odot c_t

    Args:
        forget_bias: added to the first value of the forget gate's bias.

    Sources: the authors' repository IDSIA/rtrl-elstm,
    ``reinforcement_learning/torchbeast/layer.py``, where the output gate is one torch.nn.Linear of
    x and c and drawn like it. Learning forwards in time is not included.
    """

    forget_bias: float = 0.0
    recurrence: Recurrence = "diagonal"
    recurrent_bias: bool | None = False
    kernel_init: Initializer = normal(0.1)
    recurrent_kernel_init: Initializer = normal(0.1)
    bias_init: Initializer = normal(0.1)
    output_kernel_init: Initializer = "hidden_uniform_columns"
    first = {"f": "forget_bias", "weight_ih.o": hidden_uniform_columns_}

    @staticmethod
    def step(c: State, z: Gate, f: Gate, o: Projected, O: OutputMap) -> tuple[Output, Tensor]:
        z, f = tanh(z), sigmoid(f)
        c = f * c + (1 - f) * z
        return sigmoid(o + O(c)) * c, c


class eLSTM(RecurrentLayer, cell=eLSTMCell): ...
