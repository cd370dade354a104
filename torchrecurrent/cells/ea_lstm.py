"""The entity-aware LSTM (Kratzert et al., 2019)."""

from typing import Annotated

from torch import Tensor, sigmoid, tanh

from ..cell import BaseRecurrentCell
from ..init import Initializer
from ..layers.named import RecurrentLayer
from ..roles import (
    INPUT,
    RECURRENT,
    AcrossRole,
    Function,
    Input,
    MapRole,
    ProductRole,
    State,
    Weight,
)

__all__ = ["EALSTM", "EALSTMCell"]

Dynamic = Annotated[Tensor, ProductRole(INPUT, RECURRENT, columns="dynamic_size")]
Rest = Annotated[Function, AcrossRole("rest", "static_size", r"\mathrm{rest}")]
Static = Annotated[
    Function,
    MapRole(Weight("weight_static", "bias_static", "static_"), "hidden_size", "static_size", True),
]


class EALSTMCell(BaseRecurrentCell, citation="kratzert2019towards", family="LSTM-like"):
    r"""Entity-aware LSTM, EA-LSTM [kratzert2019towards]_.

    One network for many rivers, patients or machines: what is known of each, and stays, is the last
    part of the input, and decides alone which units take up what changes.

    .. math::
        i_t &= \sigma(S\,\mathrm{rest}(x_t) + d_S) \\
        f_t &= \sigma(W_f\,\mathrm{leading}(x_t) + b_f + U_f h_{t-1})
            \quad\text{and so}\quad o_t \\
        g_t &= \tanh(W_g\,\mathrm{leading}(x_t) + b_g + U_g h_{t-1}) \\
        c_t &= f_t \odot c_{t-1} + i_t \odot g_t, \qquad h_t = o_t \odot \tanh c_t

    where :math:`\mathrm{rest}(x)` has the last ``static_size`` values of x, which should be the
    same at all steps, and :math:`\mathrm{leading}(x)` those before.

    Args:
        static_size: how many values of the input are static.

    Sources: neuralhydrology, ``neuralhydrology/modelzoo/ealstm.py``, with its initialisation but
    for the bias of S, which is drawn there; the forget gate's is that of ``main.py`` in the
    authors' kratzert/ealstm_regional_modeling. Layers before S are not included.
    """

    static_size: int = 1
    forget_bias: float = 5.0
    recurrent_bias: bool | None = False
    static_bias: bool | None = None
    kernel_init: Initializer = "orthogonal"
    recurrent_kernel_init: Initializer = "eye"
    static_kernel_init: Initializer = "hidden_uniform_columns"
    static_bias_init: Initializer = "zeros"
    first = {"f": "forget_bias"}

    @staticmethod
    def step(
        h: State, c: State, x: Input, f: Dynamic, g: Dynamic, o: Dynamic, S: Static, rest: Rest
    ) -> tuple[Tensor, Tensor]:
        c = sigmoid(f) * c + sigmoid(S(rest(x))) * tanh(g)
        return sigmoid(o) * tanh(c), c

    @property
    def dynamic_size(self) -> int:
        """How many values of the input change."""
        return self.input_size - self.static_size

    def check_options(self) -> None:
        super().check_options()
        if self.static_size >= self.input_size:
            raise ValueError(
                f"input_size should be at least {self.static_size + 1}, more than static_size, got "
                f"{self.input_size}"
            )


class EALSTM(RecurrentLayer, cell=EALSTMCell): ...
