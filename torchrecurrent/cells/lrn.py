"""The lightweight recurrent network (Zhang and Sennrich, 2019)."""

from torch import Tensor, sigmoid

from ..activations import Activation
from ..cell import BaseRecurrentCell
from ..layers.named import RecurrentLayer
from ..roles import Nonlinearity, Projected, State

__all__ = ["LRN", "LRNCell"]


class LRNCell(BaseRecurrentCell, citation="zhang2019lightweight", family="input-gated"):
    r"""Lightweight recurrent network, LRN [zhang2019lightweight]_.

    Its gates compare the state with two projections of the input and its memory is a third, so that
    no weight is left in the recurrence. Use it in place of a GRU where a stack has to be fast.

    .. math::
        i_t &= \sigma(W_p x_t + b_p + h_{t-1}), \qquad f_t = \sigma(W_q x_t + b_q - h_{t-1}) \\
        h_t &= \phi(i_t \odot (W_r x_t + b_r) + f_t \odot h_{t-1})

    Args:
        nonlinearity: :math:`\phi`; the paper's other choice is ``"identity"``.

    Sources: the authors' repository bzhangGo/lrn, ``lm/code/rnn.py`` and ``nli/code/rnns/lrn.py``,
    which draws the three kernels together and so a little smaller.
    """

    nonlinearity: Activation = "tanh"

    @staticmethod
    def step(
        h: State, p: Projected, q: Projected, r: Projected, nonlinearity: Nonlinearity
    ) -> Tensor:
        i, f = sigmoid(p + h), sigmoid(q - h)
        return nonlinearity(i * r + f * h)


class LRN(RecurrentLayer, cell=LRNCell): ...
