"""The mass-conserving LSTM (Hoedt et al., 2021)."""

from typing import Annotated

from torch import Tensor, sigmoid, where

from ..cell import BaseRecurrentCell
from ..constraints import stochastic
from ..init import Initializer
from ..layers.named import RecurrentLayer
from ..roles import (
    INPUT,
    AcrossRole,
    Function,
    Functions,
    Hidden,
    Input,
    MapRole,
    Output,
    Softmax,
    State,
    Total,
    Weight,
)

__all__ = ["MassConservingLSTM", "MassConservingLSTMCell"]

Mass = Annotated[Function, AcrossRole("first", "hidden_size", r"\mathrm{mass}")]
Rest = Annotated[Function, AcrossRole("rest", "auxiliary_size", r"\mathrm{rest}")]
Auxiliary = Annotated[
    Functions, MapRole(INPUT, columns="auxiliary_size", always_dense=True, results=("i", "o"))
]
Shares = Annotated[Functions, MapRole(Weight("weight_ch", None, "cell_"), results=("i", "o"))]


class MassConservingLSTMCell(BaseRecurrentCell, citation="hoedt2021mclstm", family="LSTM-like"):
    r"""Mass-conserving LSTM, MC-LSTM [hoedt2021mclstm]_.

    The first value of its input is a mass, and so are its states and its output: what has come in
    is in the states or has gone out. Use it for water, traffic, energy, or for sums.

    .. math::
        (x_t, a_t) &= \text{the first value of the input, and the others} \\
        i_t &= \mathrm{softmax}(W_i a_t + d_{W_i} + U_i c_{t-1} / \|c_{t-1}\|_1) \\
        o_t &= \sigma(W_o a_t + d_{W_o} + U_o c_{t-1} / \|c_{t-1}\|_1) \\
        m_t &= U_r c_{t-1} + i_t x_t, \qquad U_r = \mathrm{softmax}(B) \text{ of each column} \\
        h_t &= o_t \odot m_t, \qquad c_t = (1 - o_t) \odot m_t

    where B is the parameter ``weight_hh``, and no masses are divided by 1. Mass should not be
    normalised beforehand. A recurrent bias would make mass, and dropout of states or kernels loses
    some. It is not the :class:`MCLSTMCell`, the memory-controller LSTM.

    Sources: the authors' ml-jku/mc-lstm, ``mclstm.py``, and ``modelzoo/redistributions.py``, class
    LinearRedistribution, for a matrix :math:`U_r` that depends on nothing: the paper's equation 8,
    from memory. A matrix of each time step, and several mass inputs, are not included.
    """

    recurrent_bias: bool | None = False
    recurrent_kernel_init: Initializer = "eye"
    kernel_init: Initializer = "orthogonal"
    cell_kernel_init: Initializer = "orthogonal"
    first = {"W_o": -3.0}

    @staticmethod
    def step(
        c: State,
        x: Input,
        r: Hidden,
        W: Auxiliary,
        U: Shares,
        mass: Mass,
        rest: Rest,
        softmax: Softmax,
        total: Total,
    ) -> tuple[Output, Tensor]:
        norm = total(abs(c))
        norm = where(norm == 0, 1, norm)
        i, o = W(rest(x)) + U(c / norm)
        m = r + softmax(i) * mass(x)
        o = sigmoid(o)
        return o * m, (1 - o) * m

    def recurrent_kernel(self) -> Tensor:
        return stochastic(super().recurrent_kernel())

    @property
    def auxiliary_size(self) -> int:
        """The number of inputs besides the mass."""
        return self.input_size - 1

    def check_options(self) -> None:
        super().check_options()
        if self.input_size < 2:
            raise ValueError(
                "input_size should be at least 2, a mass and what the gates see, "
                f"got {self.input_size}"
            )


class MassConservingLSTM(RecurrentLayer, cell=MassConservingLSTMCell): ...
