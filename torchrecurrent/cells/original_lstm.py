"""The first LSTM (Hochreiter and Schmidhuber, 1997)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, ClassVar

from torch import Tensor, sigmoid

from ..activations import Activation
from ..cell import BaseRecurrentCell
from ..named_layer import RecurrentLayer
from ..roles import Gate, Nonlinearity, NonlinearityRole, State

__all__ = ["OriginalLSTM", "OriginalLSTMCell"]

OutputSquash = Annotated[Callable[[Tensor], Tensor], NonlinearityRole(r"\psi")]


def twice_centred(a: Tensor) -> Tensor:
    r"""The logistic function, centred, from -2 to 2: :math:`4 \sigma(a) - 2`."""
    return 4 * sigmoid(a) - 2


def centred(a: Tensor) -> Tensor:
    r"""The logistic function, centred, from -1 to 1: :math:`2 \sigma(a) - 1`."""
    return 2 * sigmoid(a) - 1


class OriginalLSTMCell(BaseRecurrentCell):
    r"""Long short-term memory as first described, without forget gate [hochreiter1997long]_.

    What is written to the cell state stays: it is only ever added to, so its error flows
    back unchanged over any number of steps. Use it for short sequences with one thing to
    remember; on long ones the cell state drifts, which the forget gate came to mend.

    .. math::
        i_t &= \sigma(W_i x_t + b_i + U_i h_{t-1} + d_i) \\
        g_t &= \phi(W_g x_t + b_g + U_g h_{t-1} + d_g) \\
        o_t &= \sigma(W_o x_t + b_o + U_o h_{t-1} + d_o) \\
        c_t &= c_{t-1} + i_t \odot g_t \\
        h_t &= o_t \odot \psi(c_t)

    Args:
        input_nonlinearity: :math:`\phi`; default, as in the paper's experiments, the
            centred logistic function from -2 to 2, :math:`4 \sigma(a) - 2`.
        output_nonlinearity: :math:`\psi`; default :math:`2 \sigma(a) - 1`, from -1 to 1.

    Initialisation: Xavier-uniform kernels, one gate at a time; biases zero. The paper draws
    small uniform weights and starts the gates' biases below zero, both by amounts that
    differ between its experiments; ``cell.block("bias_ih", "o")`` is where to set one.

    Sources: the paper's equations and squashing functions as two independent ports have
    them; the paper itself could not be read. Gradients here are whole, where the paper cuts
    them at the gates.
    """

    input_nonlinearity: Activation = twice_centred
    output_nonlinearity: Activation = centred
    citation: ClassVar[str] = "hochreiter1997long"
    family: ClassVar[str] = "LSTM-like"

    @staticmethod
    def step(
        h: State,
        c: State,
        i: Gate,
        g: Gate,
        o: Gate,
        input_nonlinearity: Nonlinearity,
        output_nonlinearity: OutputSquash,
    ) -> tuple[Tensor, Tensor]:
        i, g, o = sigmoid(i), input_nonlinearity(g), sigmoid(o)
        c = c + i * g
        return o * output_nonlinearity(c), c


class OriginalLSTM(RecurrentLayer, cell=OriginalLSTMCell):
    """Stacked :class:`OriginalLSTMCell`."""
