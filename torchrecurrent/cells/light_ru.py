"""The light recurrent unit (Ye et al., 2024)."""

from torch import Tensor, sigmoid, tanh

from ..cell import BaseRecurrentCell
from ..layers.named import RecurrentLayer
from ..roles import Gate, Projected, State

__all__ = ["LightRU", "LightRUCell"]


class LightRUCell(BaseRecurrentCell, citation="ye2024light", family="additive"):
    r"""Light recurrent unit [ye2024light]_.

    One gate moves the state towards a candidate that sees the input alone, so the state is an
    average of past inputs. Use it where a small, readable cell is enough.

    .. math::
        \tilde h_t &= \tanh(W_n x_t + b_n) \\
        f_t &= \sigma(W_f x_t + b_f + U_f h_{t-1} + d_f) \\
        h_t &= (1 - f_t) \odot h_{t-1} + f_t \odot \tilde h_t

    The paper calls it LRU, which is also the name of the linear recurrent unit.

    Sources: the paper's list of parameters, and lucidrains/light-recurrent-unit-pytorch; no code by
    the authors was found, and the initialisation could not be checked. The paper's candidate has
    no bias :math:`b_h`; here it starts at zero.
    """

    @staticmethod
    def step(h: State, n: Projected, f: Gate) -> Tensor:
        n, f = tanh(n), sigmoid(f)
        return (1 - f) * h + f * n


class LightRU(RecurrentLayer, cell=LightRUCell): ...
