"""The stackable recurrent cell (Turkoglu, D'Aronco, Wegner and Schindler, 2021)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, sigmoid, tanh

from ..cell import BaseRecurrentCell
from ..init import Initializer, chrono
from ..named_layer import RecurrentLayer
from ..roles import Constant, Gate, Input, State

__all__ = ["STAR", "STARCell"]


class STARCell(BaseRecurrentCell):
    r"""Stackable recurrent cell [turkoglu2021gating]_.

    One gate, and a state squashed once more, so that gradients keep their size both down a
    stack and back in time. Use it for deep stacks; where input and state are equally wide,
    it has three eighths of an LSTM's weights.

    .. math::
        z_t &= \tanh(W_z x_t + b_z) \\
        k_t &= W_k x_t + b_k + U_k h_{t-1} + d_k \\
        h_t &= \tanh((1 - \sigma(k_t)) \odot h_{t-1} + \sigma(k_t + \beta) \odot z_t)

    Args:
        beta: :math:`\beta`, which lets more of the input in than is forgotten; the paper's
            equations have 0, the authors' code 1.
        t_max: the longest time, in steps, that the gates start with: whatever ``bias_init``
            says, the biases of k sum to :math:`-\log u` with :math:`u \sim U(1, T)`, so that
            a unit starts out forgetting in about 1 + u steps. 1: biases as ``bias_init``
            says. The authors have 784, the length of their sequences of pixels.

    Initialisation: orthogonal kernels, one gate at a time; biases zero, the gate's by
    ``t_max``.

    Sources: the authors' repository 0zgur0/STAR_Network, ``star.py``, whose gate is
    :math:`-k_t`; their later ms-convSTAR has the paper's equation, and a gate bias of one.
    """

    beta: float = 0.0
    t_max: int = 784
    kernel_init: Initializer = "orthogonal"
    recurrent_kernel_init: Initializer = "orthogonal"
    citation: ClassVar[str] = "turkoglu2021gating"
    family: ClassVar[str] = "one-gate"
    first = {"k": "chrono_init"}

    @staticmethod
    def step(h: State, z: Input, k: Gate, beta: Constant) -> Tensor:
        z = tanh(z)
        return tanh((1 - sigmoid(k)) * h + sigmoid(k + beta) * z)

    @property
    def chrono_init(self) -> Initializer | None:
        """What the bias of k begins with, if not with ``bias_init``."""
        return chrono(self.t_max + 1, "input") if self.t_max > 1 else None


class STAR(RecurrentLayer, cell=STARCell):
    """Stacked :class:`STARCell`."""
