"""The real-gated linear recurrent unit (De et al., 2024)."""

from typing import Annotated

from torch import Tensor, exp, expm1, sigmoid, sqrt, where
from torch.nn.functional import softplus

from ..cell import BaseRecurrentCell
from ..init import Initializer, softplus_ring
from ..layers.named import RecurrentLayer
from ..roles import INPUT, Constant, ProductRole, Projected, State, VectorRole, Weight

__all__ = ["RGLRU", "RGLRUCell"]

Rate = Annotated[Tensor, VectorRole(Weight("weight_decay", None, "decay_"))]
#: The input itself where it is as wide as the state.
Value = Annotated[Tensor, ProductRole(INPUT, rows="skip_size")]


class RGLRUCell(BaseRecurrentCell, citation="de2024griffin", family="input-gated"):
    r"""Real-gated linear recurrent unit, RG-LRU [de2024griffin]_.

    The recurrence of Griffin and RecurrentGemma: each unit decays at a learned rate that its gate
    can slow down to zero, and admits input in proportion to what it forgets, which preserves its
    variance. Use it in deep stacks for long sequences, after a short convolution, as there.

    .. math::
        r_t &= \sigma(W_r x_t + b_r), \qquad i_t = \sigma(W_i x_t + b_i) \\
        a_t &= \exp(-c\,\mathrm{softplus}(\Lambda) \odot r_t) \\
        h_t &= a_t \odot h_{t-1} + \sqrt{1 - a_t^2} \odot i_t \odot v_t

    where :math:`v_t = x_t` if input and state are equally wide, else :math:`W_v x_t + b_v`.

    Args:
        c: :math:`c`, how much faster than its learned rate a unit decays while its gate is open.
        epsilon: the least value under the root; with the default its derivative is at most 1000.

    Sources: google-deepmind/recurrentgemma, ``recurrentgemma/torch/layers.py``, where the gates'
    kernels are block-diagonal, and a sequence's first step adds its input without the root.
    """

    c: float = 8.0
    epsilon: float = 2.5e-7
    kernel_init: Initializer = "lecun_normal"
    decay_kernel_init: Initializer = softplus_ring()

    @staticmethod
    def step(
        h: State, r: Projected, i: Projected, v: Value, Lambda: Rate, c: Constant, epsilon: Constant
    ) -> Tensor:
        log_a = -(c * softplus(Lambda) * sigmoid(r))
        s = -expm1(2 * log_a)  # 1 - a^2 without its cancellation where a is near 1
        return exp(log_a) * h + sqrt(where(s > epsilon, s, epsilon)) * sigmoid(i) * v


class RGLRU(RecurrentLayer, cell=RGLRUCell): ...
