"""Three mutations of the GRU, found by search (Jozefowicz, Zaremba and Sutskever, 2015)."""

from torch import Tensor, sigmoid, tanh

from ..cell import BaseRecurrentCell
from ..layers.named import RecurrentLayer
from ..roles import Gate, Map, Projected, State

__all__ = ["MUT1", "MUT2", "MUT3", "MUT1Cell", "MUT2Cell", "MUT3Cell"]


class MUT1Cell(BaseRecurrentCell, citation="jozefowicz2015empirical", family="GRU-like"):
    r"""First mutation of the GRU [jozefowicz2015empirical]_.

    Its update gate sees the input alone, and the input enters the candidate squashed. Use it
    where a GRU works well and the input alone shows what to keep.

    .. math::
        z_t &= \sigma(W_z x_t + b_z) \\
        r_t &= \sigma(W_r x_t + b_r + U_r h_{t-1} + d_r) \\
        n_t &= \tanh(U (r_t \odot h_{t-1}) + d_U + \tanh(W_n x_t + b_n)) \\
        h_t &= z_t \odot n_t + (1 - z_t) \odot h_{t-1}

    The paper has :math:`\tanh x_t`, which requires an input as wide as the state. Here it is
    projected first; with :math:`W_n = I` and :math:`b_n = 0` it is the paper's.

    Sources: the paper's equations as in RecurrentLayers.jl, ``src/cells/mut_cell.jl``, with a
    remark on the input's width; no code by the authors was found, and the initialisation could
    not be checked.
    """

    @staticmethod
    def step(h: State, z: Projected, r: Gate, n: Projected, U: Map) -> Tensor:
        z, r = sigmoid(z), sigmoid(r)
        n = tanh(U(r * h) + tanh(n))
        return z * n + (1 - z) * h


class MUT1(RecurrentLayer, cell=MUT1Cell): ...


class MUT2Cell(BaseRecurrentCell, citation="jozefowicz2015empirical", family="GRU-like"):
    r"""Second mutation of the GRU [jozefowicz2015empirical]_.

    The GRU of 2014 except for its reset gate, which in the paper sees the input unprojected. With
    a projected input, as here, they differ only in the sign of the update gate.

    .. math::
        z_t &= \sigma(W_z x_t + b_z + U_z h_{t-1} + d_z) \quad\text{and so}\quad r_t \\
        n_t &= \tanh(W_n x_t + b_n + U (r_t \odot h_{t-1}) + d_U) \\
        h_t &= z_t \odot n_t + (1 - z_t) \odot h_{t-1}

    The paper's :math:`r_t` has :math:`x_t` for :math:`W_r x_t`, which requires an input as wide as
    the state; with :math:`W_r = I` it is the paper's.

    Sources: as for :class:`MUT1Cell`.
    """

    @staticmethod
    def step(h: State, z: Gate, r: Gate, n: Projected, U: Map) -> Tensor:
        z, r = sigmoid(z), sigmoid(r)
        n = tanh(n + U(r * h))
        return z * n + (1 - z) * h


class MUT2(RecurrentLayer, cell=MUT2Cell): ...


class MUT3Cell(BaseRecurrentCell, citation="jozefowicz2015empirical", family="GRU-like"):
    r"""Third mutation of the GRU [jozefowicz2015empirical]_.

    The update gate sees the squashed state, so the state's effect on it is bounded. Use it
    like a GRU, where the first state may be large.

    .. math::
        z_t &= \sigma(W_z x_t + b_z + V \tanh h_{t-1} + d_V) \\
        r_t &= \sigma(W_r x_t + b_r + U_r h_{t-1} + d_r) \\
        n_t &= \tanh(W_n x_t + b_n + U (r_t \odot h_{t-1}) + d_U) \\
        h_t &= z_t \odot n_t + (1 - z_t) \odot h_{t-1}

    Sources: as for :class:`MUT1Cell`.
    """

    @staticmethod
    def step(h: State, z: Projected, V: Map, r: Gate, n: Projected, U: Map) -> Tensor:
        s = tanh(h)
        z, r = sigmoid(z + V(s)), sigmoid(r)
        n = tanh(n + U(r * h))
        return z * n + (1 - z) * h


class MUT3(RecurrentLayer, cell=MUT3Cell): ...
