"""JANET, the LSTM with only a forget gate (van der Westhuizen and Lasenby, 2018)."""

from torch import Tensor, sigmoid, tanh

from ..cell import BaseRecurrentCell
from ..init import Initializer
from ..layers.named import RecurrentLayer
from ..roles import Constant, Gate, State

__all__ = ["JANET", "JANETCell"]


class JANETCell(BaseRecurrentCell, citation="vanderwesthuizen2018unreasonable", family="one-gate"):
    r"""JANET, "just another network" [vanderwesthuizen2018unreasonable]_.

    An LSTM with only its forget gate: half the parameters, and as good where memory matters.
    For long sequences initialise it with the longest dependency that you expect,
    ``forget_init=torchrecurrent.init.chrono(steps)`` [tallec2018can]_.

    .. math::
        f_t &= W_f x_t + b_f + U_f h_{t-1} + d_f \\
        \tilde h_t &= \tanh(W_n x_t + b_n + U_n h_{t-1} + d_n) \\
        h_t &= \sigma(f_t) \odot h_{t-1} + (1 - \sigma(f_t - \beta)) \odot \tilde h_t

    Args:
        beta: :math:`\beta`, by which more is added than forgotten.

    Sources: the authors' repository JosvanderWesthuizen/janet, ``aux_code/rnn_cells.py``, which has
    :math:`\sigma(1 - f_t)` as its input gate, and chrono if it is given the sequences' length.
    """

    beta: float = 1.0
    forget_init: Initializer = "ones"
    first = {"f": "forget_init"}

    @staticmethod
    def step(h: State, f: Gate, n: Gate, beta: Constant) -> Tensor:
        return sigmoid(f) * h + (1 - sigmoid(f - beta)) * tanh(n)


class JANET(RecurrentLayer, cell=JANETCell): ...
