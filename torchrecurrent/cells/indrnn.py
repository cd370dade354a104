"""The independently recurrent network (Li et al., 2018)."""

from typing import Annotated

from torch import Tensor

from ..activations import Activation
from ..cell import BaseRecurrentCell, Recurrence
from ..init import Initializer, kaiming_uniform_8_
from ..layers.named import RecurrentLayer
from ..roles import INPUT, Nonlinearity, ProductRole, State, Weight

__all__ = ["IndRNN", "IndRNNCell"]

#: The recurrent kernel, under its name in torchrecurrent 0.2.5.
VECTOR = Weight("vector_u", "bias_hh", "recurrent_")
IndGate = Annotated[Tensor, ProductRole(INPUT, VECTOR)]


class IndRNNCell(BaseRecurrentCell, citation="li2018independently", family="simple"):
    r"""Independently recurrent cell [li2018independently]_.

    Each unit sees only its own past, so with a relu and :math:`|u| \le 2^{1/T}` gradients neither
    explode nor vanish over T steps. Stack several layers: within one, units never mix.

    .. math::
        h_t = \phi(W_n x_t + b_n + u_n \odot h_{t-1} + d_n)

    Sources: Sunnydreamrain/IndRNN_pytorch, ``IndRNN_onlyrecurrent.py``, ``Indrnn_plainnet.py`` and
    ``README.md``. The authors also clip :math:`|u|` after each update:
    ``cell.vector_u.data.clamp_(-bound, bound)``, where bound is :math:`2^{1/T}`.
    """

    nonlinearity: Activation = "relu"
    recurrence: Recurrence = "diagonal"
    kernel_init: Initializer = kaiming_uniform_8_
    recurrent_kernel_init: Initializer = "uniform"

    @staticmethod
    def step(h: State, n: IndGate, nonlinearity: Nonlinearity) -> Tensor:
        return nonlinearity(n)


class IndRNN(RecurrentLayer, cell=IndRNNCell): ...
