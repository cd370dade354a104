"""The echo state network, which is not trained (Jaeger, 2001)."""

from torch import Tensor, tanh

from ..cell import BaseRecurrentCell
from ..init import Initializer, reservoir
from ..layers.named import RecurrentLayer
from ..roles import Constant, Gate, State

__all__ = ["ESN", "ESNCell"]


def reservoir_(kernel: Tensor) -> Tensor:
    """Fill each diagonal block of a kernel as ``init.reservoir()`` does; a vector, unit by unit."""
    width = kernel.size(1) if kernel.dim() > 1 else 1
    for block in kernel.view(-1, width, width):
        reservoir()(block)
    return kernel


class ESNCell(BaseRecurrentCell, citation="jaeger2001echo", family="simple"):
    r"""Leaky echo state network [jaeger2001echo]_.

    A simple network whose parameters are drawn and never trained: its state is an echo of the
    latest inputs, of which only a readout after the layer is learned, often by linear regression.
    Use it where training has to take no time, or as a baseline of what training brings.

    .. math::
        h_t = (1 - \alpha) h_{t-1} + \alpha \tanh(W_n x_t + b_n + U_n h_{t-1})

    Args:
        alpha: the leak rate :math:`\alpha`, above 0 and at most 1; 1 is no leak.
        recurrent_kernel_init: initialiser of ``weight_hh``; ``init.reservoir(radius, density)`` has
            another spectral radius than 0.9, and other zeros.
        frozen: the parameters that are not trained, by default all.

    Sources: tensorflow/addons, ``tensorflow_addons/rnn/esn_cell.py``, with its defaults. The paper
    could not be read; the leak is of [jaeger2007optimization]_.
    """

    alpha: float = 1.0
    recurrent_bias: bool | None = False
    recurrent_kernel_init: Initializer = reservoir_
    frozen: tuple[str, ...] = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")

    @staticmethod
    def step(h: State, n: Gate, alpha: Constant) -> Tensor:
        return (1 - alpha) * h + alpha * tanh(n)

    def check_options(self) -> None:
        if not 0 < self.alpha <= 1:
            raise ValueError(f"alpha should be above 0 and at most 1, got {self.alpha}")


class ESN(RecurrentLayer, cell=ESNCell): ...
