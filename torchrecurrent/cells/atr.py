"""The addition-subtraction twin-gated network (Zhang et al., 2018)."""

from torch import Tensor, sigmoid

from ..cell import BaseRecurrentCell
from ..layers.named import RecurrentLayer
from ..roles import Hidden, Projected, State

__all__ = ["ATR", "ATRCell"]


class ATRCell(BaseRecurrentCell, citation="zhang2018simplifying", family="additive"):
    r"""Addition-subtraction twin-gated recurrent cell [zhang2018simplifying]_.

    Sum and difference of the same two products are the input and the forget gate: one kernel each
    for input and state. The state is a gated sum of projected inputs, so each input's contribution
    can be read off. Use it where a GRU is too heavy.

    .. math::
        p_t &= W_p x_t + b_p, \qquad q_t = U_q h_{t-1} + d_q \\
        i_t &= \sigma(p_t + q_t), \qquad f_t = \sigma(p_t - q_t) \\
        h_t &= i_t \odot p_t + f_t \odot h_{t-1}

    Sources: code that seems to be the first author's, bzhangGo/zero, where p has no bias, as with
    ``bias=False, recurrent_bias=True``. The paper's initialisation could not be checked.
    """

    @staticmethod
    def step(h: State, p: Projected, q: Hidden) -> Tensor:
        i, f = sigmoid(p + q), sigmoid(p - q)
        return i * p + f * h


class ATR(RecurrentLayer, cell=ATRCell): ...
