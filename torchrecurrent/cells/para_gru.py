"""The diagonal GRU of ParaRNN (Danieli et al., 2025)."""

from torch import Tensor, sigmoid, tanh

from ..cell import BaseRecurrentCell, Recurrence
from ..init import Initializer, power_law, variance_scaling
from ..layers.named import RecurrentLayer
from ..roles import Gate, Map, Projected, State

__all__ = ["ParaGRU", "ParaGRUCell"]


class ParaGRUCell(BaseRecurrentCell, citation="danieli2025pararnn", family="input-gated"):
    r"""Gated recurrent unit with a diagonal recurrence, ParaGRU [danieli2025pararnn]_.

    A unit sees the input and itself, so that all products are taken for all steps at once, and yet
    it is not linear in its state. The paper trains stacks of it as language models of billions of
    parameters. Use it where a :class:`GRUResetBeforeCell` is too slow.

    .. math::
        z_t &= \sigma(W_z x_t + b_z + u_z \odot h_{t-1}) \quad\text{and so}\quad r_t \\
        n_t &= \tanh(W_n x_t + b_n + u \odot r_t \odot h_{t-1}) \\
        h_t &= (1 - z_t) \odot h_{t-1} + z_t \odot n_t

    Sources: a copy of the authors' repository apple/ml-pararnn, xaviergonzalez/ml-pararnn,
    ``pararnn/rnn_cell/gru_diag_mh.py`` and ``pararnn/utils/init.py``, where W is block-diagonal, by
    default of two blocks, which scales its first values. How they solve for all time steps at once
    is not included.
    """

    recurrence: Recurrence = "diagonal"
    recurrent_bias: bool | None = False
    recurrent_kernel_init: Initializer = variance_scaling(0.8, mode="fan_out")
    first = {"z": power_law(0.0, -1.0, 1.0)}

    @staticmethod
    def step(h: State, z: Gate, r: Gate, n: Projected, u: Map) -> Tensor:
        z, r = sigmoid(z), sigmoid(r)
        n = tanh(n + u(r * h))
        return (1 - z) * h + z * n


class ParaGRU(RecurrentLayer, cell=ParaGRUCell): ...
