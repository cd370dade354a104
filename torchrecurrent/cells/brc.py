"""Bistable recurrent cells (Vecoven, Ernst and Drion, 2021)."""

from torch import Tensor, sigmoid, tanh

from ..cell import BaseRecurrentCell, Recurrence
from ..init import Initializer
from ..layers.named import RecurrentLayer
from ..roles import Gate, Projected, State

__all__ = ["BR", "NBR", "BRCell", "NBRCell", "nBR", "nBRCell"]


class BRCell(BaseRecurrentCell, citation="vecoven2021bio", family="bistable"):
    r"""Bistable recurrent cell [vecoven2021bio]_.

    Each unit sees only itself and can latch: where :math:`a_t > 1` it has two stable points, so
    it holds a value until an input pushes it to the other one. Use it where one fact must survive
    a long, noisy sequence.

    .. math::
        a_t &= 1 + \tanh(W_a x_t + b_a + u_a \odot h_{t-1} + d_a) \\
        c_t &= \sigma(W_c x_t + b_c + u_c \odot h_{t-1} + d_c) \\
        h_t &= c_t \odot h_{t-1} + (1 - c_t) \odot \tanh(W_n x_t + b_n + a_t \odot h_{t-1})

    Sources: the authors' repository nvecoven/BRC, ``cells/cells.py``, whose initialisation this is.
    The paper's candidate has no bias :math:`b_h`; here it starts at zero.
    """

    recurrence: Recurrence = "diagonal"
    recurrent_kernel_init: Initializer = "ones"

    @staticmethod
    def step(h: State, a: Gate, c: Gate, n: Projected) -> Tensor:
        a = 1 + tanh(a)
        c = sigmoid(c)
        return c * h + (1 - c) * tanh(n + a * h)


class BR(RecurrentLayer, cell=BRCell): ...


class nBRCell(BRCell):
    r"""Recurrently neuromodulated bistable cell [vecoven2021bio]_.

    The step of :class:`BRCell` with dense recurrent kernels: all units together decide which of
    them are bistable. The candidate still sees only its own unit.

    .. math::
        a_t &= 1 + \tanh(W_a x_t + b_a + U_a h_{t-1} + d_a) \\
        c_t &= \sigma(W_c x_t + b_c + U_c h_{t-1} + d_c) \\
        h_t &= c_t \odot h_{t-1} + (1 - c_t) \odot \tanh(W_n x_t + b_n + a_t \odot h_{t-1})

    Sources: as for :class:`BRCell`. The authors' code drew the recurrent kernels orthogonal in 2020
    and Xavier-uniform since January 2021.
    """

    recurrence: Recurrence = "dense"
    recurrent_kernel_init: Initializer = "xavier_uniform"


class nBR(RecurrentLayer, cell=nBRCell): ...


NBRCell = nBRCell
NBR = nBR
