"""The continuous-time LSTM of the neural Hawkes process (Mei and Eisner, 2017)."""

from typing import Annotated

from torch import Tensor, exp, sigmoid, tanh
from torch.nn.functional import softplus

from ..cell import BaseRecurrentCell
from ..layers.named import RecurrentLayer
from ..roles import RECURRENT, Functions, Gap, MapRole, Output, Projected, State

__all__ = ["CTLSTM", "CTLSTMCell"]

Gates = Annotated[Functions, MapRole(RECURRENT, results=("i", "f", "z", "j", "k", "q", "r"))]


class CTLSTMCell(BaseRecurrentCell, citation="mei2017neural", family="LSTM-like"):
    r"""Continuous-time LSTM, of the neural Hawkes process [mei2017neural]_.

    Between two events its memory c decays towards a target s, each unit at a rate
    :math:`\delta` of its own; an event sets all three anew. Use it for streams of events. The
    output is :math:`o_t \odot \tanh c_t`.

    .. math::
        \tilde c_t &= s_{t-1} + (c_{t-1} - s_{t-1}) \odot e^{-\delta_{t-1} \Delta t} \\
        u_t &= o_{t-1} \odot \tanh \tilde c_t \\
        i_t &= \sigma(W_i x_t + b_i + U_i u_t + d_{U_i}) \quad\text{and so}\quad f_t, j_t, k_t \\
        o_t &= \sigma(W_q x_t + b_q + U_q u_t + d_{U_q}) \\
        z_t &= \tanh(W_z x_t + b_z + U_z u_t + d_{U_z}) \\
        \delta_t &= \mathrm{softplus}(W_r x_t + b_r + U_r u_t + d_{U_r}) \\
        c_t &= f_t \odot \tilde c_t + i_t \odot z_t, \qquad s_t = k_t \odot s_{t-1} + j_t \odot z_t

    Sources: the authors' hongyuanmei/neurawkes, ``modules/models.py``, NeuralHawkesCTLSTM. It draws
    kernels as one matrix of norm 1, learns an event before the first, and has intensities, too.
    """

    dt: float = 1.0

    @staticmethod
    def step(
        c: State,
        s: State,
        delta: State,
        o: State,
        i: Projected,
        f: Projected,
        z: Projected,
        j: Projected,
        k: Projected,
        q: Projected,
        r: Projected,
        U: Gates,
        dt: Gap,
    ) -> tuple[Output, Tensor, Tensor, Tensor, Tensor]:
        c = s + (c - s) * exp(-delta * dt)
        U_i, U_f, U_z, U_j, U_k, U_q, U_r = U(o * tanh(c))
        z = tanh(z + U_z)
        c = sigmoid(f + U_f) * c + sigmoid(i + U_i) * z
        s = sigmoid(k + U_k) * s + sigmoid(j + U_j) * z
        o = sigmoid(q + U_q)
        return o * tanh(c), c, s, softplus(r + U_r), o


class CTLSTM(RecurrentLayer, cell=CTLSTMCell): ...
