"""The simple recurrent unit (Lei et al., 2018)."""

import math

from torch import Tensor, sigmoid

from ..activations import Activation
from ..cell import BaseRecurrentCell, Recurrence
from ..init import Initializer, gain, variance_scaling
from ..layers.named import RecurrentLayer
from ..roles import Bias, Constant, Gate, Input, Nonlinearity, Output, Projected, Skip, State

__all__ = ["SRU", "SRUCell"]


class SRUCell(BaseRecurrentCell, citation="lei2018simple", family="input-gated"):
    r"""Simple recurrent unit, SRU [lei2018simple]_.

    Its gates see the input and each unit's own state, so only elementwise arithmetic waits
    for the step before; a highway past the cell state lets stacks of many layers train. Use it in
    place of an LSTM where speed matters, with twice as many layers or more.

    .. math::
        f_t &= \sigma(W_f x_t + u_f \odot c_{t-1} + b_f) \quad\text{and so}\quad r_t \\
        c_t &= f_t \odot c_{t-1} + (1 - f_t) \odot (W_n x_t) \\
        h_t &= r_t \odot \phi(c_t) + (1 - r_t) \odot \alpha\, S x_t

    where :math:`\alpha = \sqrt{1 + 2 e^{b}}` with b the first value of :math:`b_r`, and S is the
    identity if input and state are equally wide. The output's variance is then about the input's.

    Args:
        nonlinearity: :math:`\phi`; the authors' code also has ``"tanh"``, which it advises against.
        highway_bias: first value of :math:`b_r`, which also sets :math:`\alpha`; the authors use
            -3 to 0, the smaller the deeper the stack.

    Sources: the authors' repository asappresearch/sru, ``sru/modules.py`` and ``sru/ops.py``. There
    :math:`\alpha` is a factor of S's first values, if there is an S, and otherwise of the input. In
    two directions S is the identity there where I = 2 H, with a half of the input for either
    direction; here where I = H, as in one direction.
    """

    nonlinearity: Activation = "identity"
    highway_bias: float = 0.0
    recurrent_bias: bool | None = False
    recurrence: Recurrence = "diagonal"
    kernel_init: Initializer = "lecun_uniform"
    recurrent_kernel_init: Initializer = variance_scaling(0.5, "uniform")
    skip_kernel_init: Initializer = "lecun_uniform"
    first = {
        "b_r": "highway_bias",
        "weight_ih.f": gain(math.sqrt(0.5)),
        "weight_ih.r": gain(math.sqrt(0.5)),
    }

    @property
    def alpha(self) -> float:
        """The factor that keeps the output's variance equal to the input's."""
        return math.sqrt(1 + 2 * math.exp(self.highway_bias))

    @staticmethod
    def step(
        c: State,
        x: Input,
        n: Projected,
        f: Gate,
        r: Gate,
        b_f: Bias,
        b_r: Bias,
        S: Skip,
        alpha: Constant,
        nonlinearity: Nonlinearity,
    ) -> tuple[Output, Tensor]:
        f, r = sigmoid(f + b_f), sigmoid(r + b_r)
        c = f * c + (1 - f) * n
        return r * nonlinearity(c) + (1 - r) * (alpha * S(x)), c


class SRU(RecurrentLayer, cell=SRUCell): ...
