"""The LSTM with working memory connections (Landi, Baraldi, Cornia and Cucchiara, 2021)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, ClassVar

from torch import Tensor, sigmoid, tanh

from ..cell import BaseRecurrentCell
from ..init import Initializer
from ..named_layer import RecurrentLayer
from ..roles import Gate, Kernel, MapRole, ProductRole, State

__all__ = ["WMCLSTM", "WMCLSTMCell"]

MEMORY = Kernel("weight_mh", "bias_mh", "memory_")
#: V c + d
Memory = Annotated[Tensor, ProductRole(None, MEMORY, "c")]
MemoryMap = Annotated[Callable[[Tensor], Tensor], MapRole(MEMORY)]


class WMCLSTMCell(BaseRecurrentCell):
    r"""LSTM with working memory connections [landi2021working]_.

    Its gates look at the cell state, as with peepholes, but at a learned and squashed view
    of all of it, which moves a gate by a bounded amount however far the cell state has
    drifted. Use it on long sequences, where peepholes saturate the gates.

    .. math::
        i_t &= \sigma(W_i x_t + b_i + U_i h_{t-1} + d_i + \tanh(V_i c_{t-1} + e_i)) \\
        f_t &= \sigma(W_f x_t + b_f + U_f h_{t-1} + d_f + \tanh(V_f c_{t-1} + e_f)) \\
        g_t &= \tanh(W_g x_t + b_g + U_g h_{t-1} + d_g) \\
        c_t &= f_t \odot c_{t-1} + i_t \odot g_t \\
        o_t &= \sigma(W_o x_t + b_o + U_o h_{t-1} + d_o + \tanh(V_o c_t + e_o)) \\
        h_t &= o_t \odot \tanh c_t

    Args:
        memory_bias: whether the views of c have a bias e; default: as ``bias``.
        memory_kernel_init: initialiser of V, ``weight_mh``, called once a gate.
        memory_bias_init: initialiser of e, ``bias_mh``.

    Initialisation: Xavier-uniform kernels, one gate at a time; biases zero. What the paper
    used, and whether its V has a bias, could not be checked; e starts at zero and keeps the
    shapes of torchrecurrent 0.2.5.

    Sources: a published summary of the paper's three connections; neither the paper nor code
    of the authors' could be read.
    """

    memory_bias: bool | None = None
    memory_kernel_init: Initializer = "xavier_uniform"
    memory_bias_init: Initializer = "zeros"
    citation: ClassVar[str] = "landi2021working"
    family: ClassVar[str] = "LSTM-like"

    @staticmethod
    def step(
        h: State,
        c: State,
        i: Gate,
        f: Gate,
        g: Gate,
        o: Gate,
        m_i: Memory,
        m_f: Memory,
        V_o: MemoryMap,
    ) -> tuple[Tensor, Tensor]:
        i = sigmoid(i + tanh(m_i))
        f = sigmoid(f + tanh(m_f))
        c = f * c + i * tanh(g)
        o = sigmoid(o + tanh(V_o(c)))
        return o * tanh(c), c


class WMCLSTM(RecurrentLayer, cell=WMCLSTMCell):
    """Stacked :class:`WMCLSTMCell`."""
