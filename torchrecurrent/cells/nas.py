"""The recurrent cell of neural architecture search (Zoph and Le, 2017)."""

from torch import Tensor, relu, sigmoid, tanh

from ..cell import BaseRecurrentCell
from ..layers.named import RecurrentLayer
from ..roles import Gate, Hidden, Projected, State

__all__ = ["NAS", "NASCell"]


class NASCell(BaseRecurrentCell, citation="zoph2017neural", family="LSTM-like"):
    r"""Recurrent cell found by neural architecture search [zoph2017neural]_.

    A tree of eight pairs of projections, found on language modelling. It has twice the parameters
    of an LSTM; use it for comparison, or for text.

    .. math::
        g_{k,t} &= W_{g_k} x_t + b_{g_k} + U_{g_k} h_{t-1} + d_{g_k}
            \quad\text{for } k = 0, 1, 2, 4, 5, 6, 7 \\
        g_{3,t} &= (W_{x_3} x_t + b_{x_3}) \odot (U_{h_3} h_{t-1} + d_{h_3}) \\
        a_t &= \tanh(\sigma(g_{0,t}) \odot \mathrm{relu}(g_{1,t})) \\
        b_t &= \tanh(\sigma(g_{2,t}) + \mathrm{relu}(g_{3,t})) \\
        p_t &= \tanh(\tanh(g_{4,t}) \odot \sigma(g_{5,t})) \\
        q_t &= \sigma(\tanh(g_{6,t}) + \sigma(g_{7,t})) \\
        c_t &= \tanh(a_t + c_{t-1}) \odot b_t \\
        h_t &= \tanh(c_t \odot \tanh(p_t + q_t))

    Sources: TensorFlow Addons' ``rnn/nas_cell.py``, which has no biases by default, and optionally
    one beside :math:`U h_{t-1}`; the paper's initialisation could not be checked.
    """

    @staticmethod
    def step(
        h: State,
        c: State,
        g0: Gate,
        g1: Gate,
        g2: Gate,
        x3: Projected,
        h3: Hidden,
        g4: Gate,
        g5: Gate,
        g6: Gate,
        g7: Gate,
    ) -> tuple[Tensor, Tensor]:
        a = tanh(sigmoid(g0) * relu(g1))
        b = tanh(sigmoid(g2) + relu(x3 * h3))
        p = tanh(tanh(g4) * sigmoid(g5))
        q = sigmoid(tanh(g6) + sigmoid(g7))
        c = tanh(a + c) * b
        return tanh(c * tanh(p + q)), c


class NAS(RecurrentLayer, cell=NASCell): ...
