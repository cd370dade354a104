"""The UR-LSTM and the UR-GRU: uniform gate initialisation, refine gate (Gu et al., 2020)."""

from collections.abc import Callable
from typing import Literal

from torch import Tensor, sigmoid, tanh

from ..cell import BaseRecurrentCell
from ..init import Initializer, uniform_gates_
from ..layers.named import RecurrentLayer
from ..roles import Gate, Map, Projected, State

__all__ = ["URGRU", "URLSTM", "URGRUCell", "URLSTMCell"]

GateInit = Literal["uniform", "none"]


class UniformGates(BaseRecurrentCell):
    """A cell whose forget gate f and refine gate r may be initialised to be spread evenly."""

    gate_init: GateInit = "uniform"
    first = {("f", "r"): "uniform_gates"}

    @property
    def uniform_gates(self) -> Callable[..., object] | None:
        """``uniform_gates_`` for the biases of f and r, unless ``gate_init`` is ``"none"``."""
        return uniform_gates_ if self.gate_init == "uniform" else None


class URLSTMCell(UniformGates, citation="gu2020improving", family="LSTM-like"):
    r"""LSTM with uniform gate initialisation and a refine gate [gu2020improving]_.

    The refine gate r moves the effective gate g away from the forget gate f by up to
    :math:`f (1 - f)`, so that g leaves saturation with a useful gradient; the uniform
    initialisation spreads the time scales of the units from 1 to H steps. Use it where
    dependencies are long and of unknown length.

    .. math::
        f_t &= \sigma(W_f x_t + b_f + U_f h_{t-1} + d_f) \quad\text{and so}\quad r_t, o_t \\
        u_t &= \tanh(W_u x_t + b_u + U_u h_{t-1} + d_u) \\
        g_t &= r_t \odot (1 - (1 - f_t)^2) + (1 - r_t) \odot f_t^2 \\
        c_t &= g_t \odot c_{t-1} + (1 - g_t) \odot u_t \\
        h_t &= o_t \odot \tanh c_t

    Args:
        gate_init: ``"uniform"``: the biases of f and r are initialised by
            :func:`torchrecurrent.init.uniform_gates_`, whatever ``bias_init`` is. ``"none"``: by
            ``bias_init``.

    Sources: the paper's pseudo-code as in r0mainK/ur-lstm; the author's later
    state-spaces/s4, ``src/models/nn/gate.py``, keeps :math:`b_f` frozen and gives r no bias. Here
    the two biases start with opposite signs and are trained independently.
    """

    recurrent_kernel_init: Initializer = "orthogonal"

    @staticmethod
    def step(h: State, c: State, f: Gate, r: Gate, u: Gate, o: Gate) -> tuple[Tensor, Tensor]:
        f, r, u, o = sigmoid(f), sigmoid(r), tanh(u), sigmoid(o)
        g = r * (1 - (1 - f) ** 2) + (1 - r) * f**2
        c = g * c + (1 - g) * u
        return o * tanh(c), c


class URLSTM(RecurrentLayer, cell=URLSTMCell): ...


class URGRUCell(UniformGates, citation="gu2020improving", family="GRU-like"):
    r"""GRU with uniform gate initialisation and a refine gate [gu2020improving]_.

    The gates of :class:`URLSTMCell` in a GRU whose reset gate comes before the product. Use it for
    dependencies of unknown length, with one state.

    .. math::
        f_t &= \sigma(W_f x_t + b_f + U_f h_{t-1} + d_f) \quad\text{and so}\quad r_t, s_t \\
        g_t &= r_t \odot (1 - (1 - f_t)^2) + (1 - r_t) \odot f_t^2 \\
        n_t &= \tanh(W_n x_t + b_n + U (s_t \odot h_{t-1}) + d_U) \\
        h_t &= g_t \odot h_{t-1} + (1 - g_t) \odot n_t

    Args:
        gate_init: as for :class:`URLSTMCell`.

    Sources: the author's state-spaces/s4, ``src/models/nn/gate.py`` and
    ``src/models/sequence/rnns/cells/basic.py``, whose gate is 1 - g and whose r is 1 - r here; it
    keeps :math:`b_f` frozen and gives r no bias of its own. Names and order follow
    :class:`URLSTMCell`.
    """

    recurrent_kernel_init: Initializer = "orthogonal"

    @staticmethod
    def step(h: State, f: Gate, r: Gate, s: Gate, n: Projected, U: Map) -> Tensor:
        f, r, s = sigmoid(f), sigmoid(r), sigmoid(s)
        g = r * (1 - (1 - f) ** 2) + (1 - r) * f**2
        n = tanh(n + U(s * h))
        return g * h + (1 - g) * n


class URGRU(RecurrentLayer, cell=URGRUCell): ...
