"""The Mogrifier LSTM (Melis et al., 2020)."""

from typing import Annotated

from torch import Tensor, sigmoid, tanh

from ..cell import BaseRecurrentCell
from ..init import Initializer
from ..layers.named import RecurrentLayer
from ..roles import INPUT, Function, Functions, Input, MapRole, MapsRole, State, Weight

__all__ = ["MogrifierLSTM", "MogrifierLSTMCell"]

OF_STATE = Weight("weight_q", "bias_q", "q_")
OF_INPUT = Weight("weight_r", "bias_r", "r_")
GATES = ("i", "f", "g", "o")
InputMap = Annotated[Functions, MapRole(INPUT, columns="input_size", results=GATES)]
StateMap = Annotated[Functions, MapRole(results=GATES)]
Pairs = Annotated[tuple[Function, ...], MapsRole(OF_STATE, "pairs", rows="input_size")]
Last = Annotated[tuple[Function, ...], MapsRole(OF_STATE, "odd", rows="input_size")]
States = Annotated[tuple[Function, ...], MapsRole(OF_INPUT, "pairs", columns="input_size")]


class MogrifierLSTMCell(BaseRecurrentCell, citation="melis2020mogrifier", family="LSTM-like"):
    r"""Mogrifier LSTM [melis2020mogrifier]_.

    Before an LSTM's step input and state gate each other in turn, so that a word is read in its
    context. Use it for language models, the paper's task, if a step may be expensive: each round
    is one more product that waits for another.

    .. math::
        x_{0,t} &= 2\,\sigma(Q_0 h_{t-1}) \odot x_t, \qquad
            h_{0,t} = 2\,\sigma(R_0 x_{0,t}) \odot h_{t-1} \\
        x_{1,t} &= 2\,\sigma(Q_1 h_{0,t}) \odot x_{0,t}, \qquad
            h_{1,t} = 2\,\sigma(R_1 x_{1,t}) \odot h_{0,t} \\
        x_{2,t} &= 2\,\sigma(L_0 h_{1,t}) \odot x_{1,t} \\
        i_t &= \sigma(W_i x_{2,t} + d_{W_i} + U_i h_{1,t} + d_{U_i})
            \quad\text{and so}\quad f_t, o_t \\
        g_t &= \tanh(W_g x_{2,t} + d_{W_g} + U_g h_{1,t} + d_{U_g}) \\
        c_t &= f_t \odot c_{t-1} + i_t \odot g_t \\
        h_t &= o_t \odot \tanh c_t

    for five rounds. Input and state are gated in turn; if the last round is one of the input, as
    here, its map is L. The gates start near 1.

    Args:
        rounds: r, how often input or state are gated. The paper uses 4 to 6.
        q_bias: whether the maps Q have biases; the paper has none, the authors' code has.

    Sources: the authors' repository google-deepmind/lamb, ``lamb/tiled_lstm.py``. There Q and R may
    be products of two matrices of low rank, and the input gate is at most 1 - f; neither is
    included. The number of rounds in the paper is from memory.
    """

    rounds: int = 5
    q_bias: bool | None = False
    r_bias: bool | None = False
    q_kernel_init: Initializer = "xavier_uniform"
    q_bias_init: Initializer = "zeros"
    r_kernel_init: Initializer = "xavier_uniform"
    r_bias_init: Initializer = "zeros"

    @property
    def pairs(self) -> int:
        """How often the input is gated and then the state."""
        return self.rounds // 2

    @property
    def odd(self) -> int:
        """1 if the input is gated once more at the end, else 0."""
        return self.rounds % 2

    @staticmethod
    def step(
        h: State,
        c: State,
        x: Input,
        Q: Pairs,
        L: Last,
        R: States,
        W: InputMap,
        U: StateMap,
    ) -> tuple[Tensor, Tensor]:
        for Q_k, R_k in zip(Q, R, strict=True):
            x = 2 * sigmoid(Q_k(h)) * x
            h = 2 * sigmoid(R_k(x)) * h
        for L_k in L:
            x = 2 * sigmoid(L_k(h)) * x
        i, f, g, o = W(x) + U(h)
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        return sigmoid(o) * tanh(c), c


class MogrifierLSTM(RecurrentLayer, cell=MogrifierLSTMCell): ...
