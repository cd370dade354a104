"""The stackable recurrent cell (Turkoglu, D'Aronco, Wegner and Schindler, 2021)."""

from torch import Tensor, sigmoid, tanh

from ..cell import BaseRecurrentCell
from ..init import Initializer, chrono
from ..layers.named import RecurrentLayer
from ..roles import Constant, Gate, Projected, State

__all__ = ["STAR", "STARCell"]


class STARCell(BaseRecurrentCell, citation="turkoglu2021gating", family="one-gate"):
    r"""Stackable recurrent cell [turkoglu2021gating]_.

    One gate, and a state squashed once more, so that gradients keep their size down a stack and
    back in time. Use it for deep stacks; at I = H it has three eighths of an LSTM's weights.

    .. math::
        z_t &= \tanh(W_z x_t + b_z), \qquad k_t = W_k x_t + b_k + U_k h_{t-1} + d_k \\
        h_t &= \tanh((1 - \sigma(k_t)) \odot h_{t-1} + \sigma(k_t + \beta) \odot z_t)

    Args:
        beta: :math:`\beta`, to add more than is forgotten: 0 in the paper, 1 in the authors' code.
        t_max: T, the longest initial time scale: the bias of k is :math:`-\log u`, where
            :math:`u \sim U(1, T)`, so that a unit forgets in about 1 + u steps; if 1, ``bias_init``
            decides. The authors' 784 is the length of their sequences.

    Sources: the authors' repository 0zgur0/STAckable-Recurrent-network, ``star.py``, whose gate is
    :math:`-k_t`; their later ms-convSTAR has the paper's equation, and a gate bias of one.
    """

    beta: float = 0.0
    t_max: int = 784
    kernel_init: Initializer = "orthogonal"
    recurrent_kernel_init: Initializer = "orthogonal"
    first = {"k": "chrono_init"}

    @staticmethod
    def step(h: State, z: Projected, k: Gate, beta: Constant) -> Tensor:
        z = tanh(z)
        return tanh((1 - sigmoid(k)) * h + sigmoid(k + beta) * z)

    @property
    def chrono_init(self) -> Initializer | None:
        """``chrono(t_max + 1, 'input')`` for the bias of k, unless ``t_max`` is 1."""
        return chrono(self.t_max + 1, "input") if self.t_max > 1 else None


class STAR(RecurrentLayer, cell=STARCell): ...
