"""The minimal GRU and LSTM without a state in their gates (Feng et al., 2024)."""

import torch
from torch import Tensor, sigmoid
from torch.nn.functional import logsigmoid

from ..activations import Activation
from ..cell import BaseRecurrentCell
from ..init import Initializer
from ..layers.named import RecurrentLayer
from ..roles import Nonlinearity, Projected, State

__all__ = ["minGRU", "minGRUCell", "minLSTM", "minLSTMCell"]


def positive(input: Tensor) -> Tensor:
    """Return x + 1/2 from zero on, sigmoid(x) below: a candidate that has a logarithm."""
    return torch.where(input >= 0, input + 0.5, sigmoid(input))


class minGRUCell(BaseRecurrentCell, citation="feng2024were", family="input-gated"):
    r"""Minimal GRU of "Were RNNs all we needed?", minGRU [feng2024were]_.

    A GRU whose gate and candidate see the input alone, without a reset gate: a moving average of
    candidates, linear in its state. Use it in stacks of several layers, as a cheap first try beside
    state-space models.

    .. math::
        z_t &= \sigma(W_z x_t + b_z) \\
        \tilde h_t &= \phi(W_n x_t + b_n) \\
        h_t &= (1 - z_t) \odot h_{t-1} + z_t \odot \tilde h_t

    where :math:`\phi(x) = x + 1/2` for :math:`x \ge 0` and :math:`\sigma(x)` below, so that states
    stay positive.

    Args:
        nonlinearity: :math:`\phi`. The paper's first version has none: ``"identity"``.

    Sources: the authors' repository BorealisAI/minRNNs, ``models/minRNNs.py``, with torch's linear
    maps. It computes the same in the space of logarithms, which its parallel scan needs and a loop
    does not. Their layer also projects the output, and may learn its first state.
    """

    nonlinearity: Activation = positive
    kernel_init: Initializer = "hidden_uniform_columns"
    bias_init: Initializer = "hidden_uniform"

    @staticmethod
    def step(h: State, n: Projected, z: Projected, nonlinearity: Nonlinearity) -> Tensor:
        z = sigmoid(z)
        return (1 - z) * h + z * nonlinearity(n)


class minGRU(RecurrentLayer, cell=minGRUCell): ...


class minLSTMCell(BaseRecurrentCell, citation="feng2024were", family="input-gated"):
    r"""Minimal LSTM of "Were RNNs all we needed?", minLSTM [feng2024were]_.

    An LSTM whose gates and candidate see the input alone, with one state and no output gate. Its
    two gates are scaled to sum to one, so it is a moving average like the :class:`minGRUCell`,
    with a second gate for its rate.

    .. math::
        f_t &= \sigma(W_f x_t + b_f), \quad i_t = \sigma(W_i x_t + b_i) \\
        f'_t &= f_t / (f_t + i_t) \\
        \tilde h_t &= \phi(W_n x_t + b_n) \\
        h_t &= f'_t \odot h_{t-1} + (1 - f'_t) \odot \tilde h_t

    where :math:`\phi(x) = x + 1/2` for :math:`x \ge 0` and :math:`\sigma(x)` below.

    Args:
        nonlinearity: :math:`\phi`. The paper's first version has none: ``"identity"``.
        forget_bias: added to the first value of the forget gate's bias, an option of the authors'
            code whose default could not be checked.

    Sources: as for :class:`minGRUCell`; their layer may also leave out the scaling.
    """

    nonlinearity: Activation = positive
    forget_bias: float = 0.0
    kernel_init: Initializer = "hidden_uniform_columns"
    bias_init: Initializer = "hidden_uniform"
    first = {"f": "forget_bias"}

    @staticmethod
    def step(
        h: State, n: Projected, f: Projected, i: Projected, nonlinearity: Nonlinearity
    ) -> Tensor:
        f = sigmoid(logsigmoid(f) - logsigmoid(i))  # f / (f + i), where both may underflow
        return f * h + (1 - f) * nonlinearity(n)


class minLSTM(RecurrentLayer, cell=minLSTMCell): ...
