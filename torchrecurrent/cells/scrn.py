"""The structurally constrained recurrent network (Mikolov et al., 2014)."""

from typing import Annotated

from torch import Tensor, sigmoid

from ..activations import Activation
from ..cell import BaseRecurrentCell
from ..init import Initializer
from ..layers.named import RecurrentLayer
from ..roles import (
    Constant,
    Function,
    Gate,
    Map,
    MapRole,
    Nonlinearity,
    Output,
    Projected,
    State,
    Weight,
)

__all__ = ["SCRN", "SCRNCell"]

CONTEXT = Weight("weight_ch", "bias_ch", "context_")
ContextMap = Annotated[Function, MapRole(CONTEXT)]


class SCRNCell(BaseRecurrentCell, citation="mikolov2014learning", family="simple"):
    r"""Structurally constrained recurrent cell [mikolov2014learning]_.

    Beside a simple recurrent network runs a slow one, the context s, a moving average of the
    inputs: a cheap longer memory, such as for the topic of a text. The output is not the state.

    .. math::
        s_t &= (1 - \alpha)\,(W_b x_t + b_b) + \alpha\, s_{t-1} \\
        h_t &= \sigma(W_n x_t + b_n + U_n h_{t-1} + d_n + P s_t + d_P) \\
        y_t &= \phi(U h_t + d_U + V s_t + d_V)

    Args:
        alpha: :math:`\alpha`, from 0 to 1, the share of the context that is kept at each step.
        nonlinearity: :math:`\phi`. In the paper it is the softmax over the words; ``"identity"``
            leaves that to the loss.

    Sources: the paper's equations as in two independent ports; the authors' repository
    facebookarchive/SCRNNs, ``mfactory.lua``, ``scrnn.lua`` and ``util.lua``, where :math:`\alpha`
    is fixed at 0.95, h sees the context of the step before, the context is narrower (such as 20
    beside 100 units), and kernels are from :math:`N(0, 0.05^2)`. The paper has no biases.
    """

    alpha: float = 0.95
    nonlinearity: Activation = "tanh"
    context_bias: bool | None = None
    context_kernel_init: Initializer = "xavier_uniform"
    context_bias_init: Initializer = "zeros"

    @staticmethod
    def step(
        h: State,
        s: State,
        b: Projected,
        n: Gate,
        U: Map,
        P: ContextMap,
        V: ContextMap,
        alpha: Constant,
        nonlinearity: Nonlinearity,
    ) -> tuple[Output, Tensor, Tensor]:
        s = (1 - alpha) * b + alpha * s
        h = sigmoid(n + P(s))
        return nonlinearity(U(h) + V(s)), h, s

    def check_options(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha should be a number from 0 to 1, got {self.alpha}")


class SCRN(RecurrentLayer, cell=SCRNCell): ...
