"""The skip LSTM and the skip GRU (Campos et al., 2018)."""

from typing import Annotated, ClassVar

from torch import Tensor, detach, minimum, sigmoid, tanh, where

from ..cell import BaseRecurrentCell
from ..init import Initializer
from ..layers.named import RecurrentLayer
from ..roles import AcrossRole, Function, Gate, Map, MapRole, Projected, State, StateRole, Weight

__all__ = ["SkipGRU", "SkipGRUCell", "SkipLSTM", "SkipLSTMCell"]

Wait = Annotated[Tensor, StateRole("single")]
Chance = Annotated[
    Function,
    MapRole(Weight("weight_update", "bias_update", "update_"), "single", always_dense=True),
]
All = Annotated[Function, AcrossRole("first", "hidden_size", r"\mathrm{all}")]


class SkipLSTMCell(BaseRecurrentCell, citation="campos2018skip", family="LSTM-like"):
    r"""LSTM that skips updates, Skip LSTM [campos2018skip]_.

    A binary gate u either updates all states or leaves them; the state itself says how fast the
    next update comes. Use it for long sequences of which few steps matter.

    .. math::
        u_t &= \mathrm{round}(1 - w_{t-1}) \\
        i_t &= \sigma(W_i x_t + b_i + U_i h_{t-1} + d_i) \quad\text{and so}\quad f_t, o_t \\
        g_t &= \tanh(W_g x_t + b_g + U_g h_{t-1} + d_g), \qquad
            \tilde c_t = f_t \odot c_{t-1} + i_t \odot g_t \\
        h_t &= u_t\, o_t \odot \tanh \tilde c_t + (1 - u_t) h_{t-1}, \qquad
            c_t = u_t\, \tilde c_t + (1 - u_t) c_{t-1} \\
        \delta_t &= \sigma(V c_t + d_V) \\
        w_t &= u_t (1 - \delta_t) + (1 - u_t) (w_{t-1} - \min(\delta_t, w_{t-1}))

    where :math:`\delta` and w, the time left to wait, are one number for all units. In the backward
    pass the rounding is the identity: in the code :math:`\mathrm{sg}` stops gradients. The paper's
    :math:`\tilde u` is 1 - w, so that the state zero is its first, and the first step an update.

    Sources: the authors' imatge-upc/skiprnn-2017-telecombcn, ``src/rnn_cells/skip_rnn_cells.py``,
    which carries :math:`\delta` as a state, of the same value. The loss there is charged for
    updates, which is not included, nor are its stacks that skip together.
    """

    straight_through: ClassVar[bool] = True
    forget_bias: float = 1.0
    update_kernel_init: Initializer = "xavier_uniform"
    update_bias: bool | None = None
    update_bias_init: Initializer = "ones"
    first = {"f": "forget_bias"}

    @staticmethod
    def step(
        h: State, c: State, w: Wait, i: Gate, f: Gate, g: Gate, o: Gate, V: Chance, all: All
    ) -> tuple[Tensor, Tensor, Tensor]:
        u = 1 - w
        u = u + detach(where(u > 0.5, 1, 0) - u)
        new = sigmoid(f) * c + sigmoid(i) * tanh(g)
        update = all(u)
        h = update * sigmoid(o) * tanh(new) + (1 - update) * h
        c = update * new + (1 - update) * c
        delta = sigmoid(V(c))
        return h, c, u * (1 - delta) + (1 - u) * (w - minimum(delta, w))

    @property
    def single(self) -> int:
        """One: the width of a number for all units."""
        return 1


class SkipGRUCell(BaseRecurrentCell, citation="campos2018skip", family="GRU-like"):
    r"""GRU that skips updates, Skip GRU [campos2018skip]_.

    A :class:`GRUResetBeforeCell` with the binary gate of the :class:`SkipLSTMCell`. Use it for long
    sequences of which few steps matter.

    .. math::
        u_t &= \mathrm{round}(1 - w_{t-1}) \\
        r_t &= \sigma(W_r x_t + b_r + U_r h_{t-1} + d_r) \quad\text{and so}\quad z_t \\
        n_t &= \tanh(W_n x_t + b_n + U (r_t \odot h_{t-1}) + d_U) \\
        h_t &= u_t (z_t \odot h_{t-1} + (1 - z_t) \odot n_t) + (1 - u_t) h_{t-1} \\
        \delta_t &= \sigma(V h_t + d_V) \\
        w_t &= u_t (1 - \delta_t) + (1 - u_t) (w_{t-1} - \min(\delta_t, w_{t-1}))

    where :math:`\delta` and w are one number for all units, and in the backward pass the rounding
    is the identity, by :math:`\mathrm{sg}`, which stops gradients.

    Sources: as of the :class:`SkipLSTMCell`.
    """

    straight_through: ClassVar[bool] = True
    update_kernel_init: Initializer = "xavier_uniform"
    update_bias: bool | None = None
    update_bias_init: Initializer = "ones"
    first = {"r": 1.0, "z": 1.0}

    @staticmethod
    def step(
        h: State, w: Wait, r: Gate, z: Gate, n: Projected, U: Map, V: Chance, all: All
    ) -> tuple[Tensor, Tensor]:
        u = 1 - w
        u = u + detach(where(u > 0.5, 1, 0) - u)
        r, z = sigmoid(r), sigmoid(z)
        n = tanh(n + U(r * h))
        update = all(u)
        h = update * (z * h + (1 - z) * n) + (1 - update) * h
        delta = sigmoid(V(h))
        return h, u * (1 - delta) + (1 - u) * (w - minimum(delta, w))

    @property
    def single(self) -> int:
        """One: the width of a number for all units."""
        return 1


class SkipLSTM(RecurrentLayer, cell=SkipLSTMCell): ...


class SkipGRU(RecurrentLayer, cell=SkipGRUCell): ...
