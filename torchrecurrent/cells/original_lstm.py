"""The first LSTM (Hochreiter and Schmidhuber, 1997)."""

from torch import Tensor, sigmoid

from ..activations import Activation
from ..cell import BaseRecurrentCell
from ..layers.named import RecurrentLayer
from ..roles import Gate, Nonlinearity, OutputNonlinearity, State

__all__ = ["OriginalLSTM", "OriginalLSTMCell"]


def twice_centred(a: Tensor) -> Tensor:
    r"""The logistic function, centred, from -2 to 2: :math:`4 \sigma(a) - 2`."""
    return 4 * sigmoid(a) - 2


def centred(a: Tensor) -> Tensor:
    r"""The logistic function, centred, from -1 to 1: :math:`2 \sigma(a) - 1`."""
    return 2 * sigmoid(a) - 1


class OriginalLSTMCell(BaseRecurrentCell, citation="hochreiter1997long", family="LSTM-like"):
    r"""Long short-term memory as first described, without forget gate [hochreiter1997long]_.

    Values written to the cell state stay, so its error flows back unchanged over any number of
    steps. Use it for short sequences: on long ones the cell state drifts, without a forget gate.

    .. math::
        i_t &= \sigma(W_i x_t + b_i + U_i h_{t-1} + d_i) \quad\text{and so}\quad o_t \\
        c_t &= c_{t-1} + i_t \odot \phi(W_g x_t + b_g + U_g h_{t-1} + d_g) \\
        h_t &= o_t \odot \psi(c_t)

    Args:
        input_nonlinearity: :math:`\phi`; as in the paper, by default :math:`4 \sigma(a) - 2`.
        output_nonlinearity: :math:`\psi`; default :math:`2 \sigma(a) - 1`.

    Sources: two independent ports; the paper itself could not be read. It cuts gradients at the
    gates and starts their biases below zero, which can be set by ``cell.block("bias_ih", "o")``.
    """

    input_nonlinearity: Activation = twice_centred
    output_nonlinearity: Activation = centred

    @staticmethod
    def step(
        h: State,
        c: State,
        i: Gate,
        g: Gate,
        o: Gate,
        input_nonlinearity: Nonlinearity,
        output_nonlinearity: OutputNonlinearity,
    ) -> tuple[Tensor, Tensor]:
        i, g, o = sigmoid(i), input_nonlinearity(g), sigmoid(o)
        c = c + i * g
        return o * output_nonlinearity(c), c


class OriginalLSTM(RecurrentLayer, cell=OriginalLSTMCell): ...
