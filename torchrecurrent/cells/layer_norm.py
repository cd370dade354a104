"""Networks with layer normalisation (Ba et al., 2016)."""

from typing import Annotated

from torch import Tensor, sigmoid, tanh

from ..activations import Activation
from ..cell import BaseRecurrentCell
from ..declaration.integration import Integration
from ..init import Initializer
from ..layers.named import RecurrentLayer
from ..roles import Bias, Gate, Hidden, Nonlinearity, Norm, Projected, State, VectorRole, Weight

__all__ = [
    "LayerNormGRU",
    "LayerNormGRUCell",
    "LayerNormLSTM",
    "LayerNormLSTMCell",
    "LayerNormRNN",
    "LayerNormRNNCell",
]


Gain = Annotated[Tensor, VectorRole(Weight("weight_gain", None, "gain_"))]
Shift = Annotated[Tensor, VectorRole(Weight("weight_shift", None, "shift_"))]


class LayerNormRNNCell(BaseRecurrentCell, citation="ba2016layer", family="simple"):
    r"""Simple recurrent cell with layer normalisation [ba2016layer]_.

    The sum in a step is normalised to mean 0 and variance 1 over the units, so that neither
    activations nor gradients can grow from step to step.

    .. math::
        n_t &= W_n x_t + U_n h_{t-1} \\
        h_t &= \phi(\gamma \odot \mathrm{LN}(n_t) + b)

    where LN subtracts the mean of all units and divides by
    :math:`\sqrt{\text{variance} + \epsilon}`; :math:`\epsilon` is ``layer_norm_eps``.

    Sources: the paper's equation; :math:`\epsilon` from the authors' repository
    ryankiros/layer-norm, ``layers.py``, which has the other two cells only.
    """

    nonlinearity: Activation = "tanh"
    recurrent_bias: bool | None = False
    recurrent_kernel_init: Initializer = "orthogonal"
    gain_kernel_init: Initializer = "ones"

    @staticmethod
    def step(
        h: State, n: Gate, b: Bias, gamma: Gain, N: Norm, nonlinearity: Nonlinearity
    ) -> Tensor:
        (n,) = N(n)
        return nonlinearity(gamma * n + b)


class LayerNormGRUCell(BaseRecurrentCell, citation="ba2016layer", family="GRU-like"):
    r"""GRU with layer normalisation [ba2016layer]_.

    A GRU whose products with the input and with the state are normalised separately. It trains
    faster than a GRU on long sequences and small batches, but each step costs more.

    .. math::
        \hat r_t, \hat z_t &= \mathrm{LN}(W_r x_t, W_z x_t), \qquad
            \check r_t, \check z_t = \mathrm{LN}(U_r h_{t-1}, U_z h_{t-1}) \\
        r_t &= \sigma(\gamma_r \odot \hat r_t + \alpha_r \odot \check r_t + b_r)
            \quad\text{and so}\quad z_t \\
        n_t &= \tanh(\gamma_n \odot \mathrm{LN}(W_n x_t) + b_n
            + r_t \odot (\alpha_m \odot \mathrm{LN}(U_m h_{t-1}) + d)) \\
        h_t &= z_t \odot h_{t-1} + (1 - z_t) \odot n_t

    where LN subtracts the mean and divides by :math:`\sqrt{\text{variance} + \epsilon}`, of all
    units of both gates together, and of those of the candidate; :math:`\epsilon` is
    ``layer_norm_eps``.

    Sources: the authors' repository ryankiros/layer-norm, ``layers.py``, the layer lngru, where W x
    has a bias before it is normalised, too. What draws W is not in that file but in those that it
    is to be added to: in ryankiros/skip-thoughts, ``training/utils.py``, from
    :math:`U(-0.1, 0.1)`, and orthogonal if it is square.
    """

    integration: Integration = "layer_norm"
    recurrent_bias: bool | None = False
    recurrent_kernel_init: Initializer = "orthogonal"
    shift_kernel_init: Initializer = "zeros"

    @staticmethod
    def step(h: State, r: Gate, z: Gate, n: Projected, m: Hidden, d: Shift) -> Tensor:
        r, z = sigmoid(r), sigmoid(z)
        n = tanh(n + r * (m + d))
        return z * h + (1 - z) * n


class LayerNormLSTMCell(BaseRecurrentCell, citation="ba2016layer", family="LSTM-like"):
    r"""LSTM with layer normalisation [ba2016layer]_.

    An LSTM whose products with the input and with the state are normalised separately, and so is
    the cell state at the output. It trains faster than an LSTM on long sequences and small
    batches, but each step costs more.

    .. math::
        \hat i_t, \hat f_t, \hat g_t, \hat o_t &= \mathrm{LN}(W_i x_t, W_f x_t, W_g x_t, W_o x_t) \\
        \check i_t, \check f_t, \check g_t, \check o_t
            &= \mathrm{LN}(U_i h_{t-1}, U_f h_{t-1}, U_g h_{t-1}, U_o h_{t-1}) \\
        i_t &= \sigma(\gamma_i \odot \hat i_t + \alpha_i \odot \check i_t + b_i)
            \quad\text{and so}\quad f_t, o_t \\
        g_t &= \tanh(\gamma_g \odot \hat g_t + \alpha_g \odot \check g_t + b_g) \\
        c_t &= f_t \odot c_{t-1} + i_t \odot g_t \\
        h_t &= o_t \odot \tanh(\kappa \odot \mathrm{LN}(c_t) + d)

    where LN subtracts the mean and divides by :math:`\sqrt{\text{variance} + \epsilon}`, of all
    units of all four gates together, and of the cell state's; :math:`\epsilon` is
    ``layer_norm_eps``. The cell state itself is passed on without normalisation.

    Sources: the authors' repository ryankiros/layer-norm, ``layers.py``, the layer lnlstm, where
    W x has the bias before it is normalised, too; W is drawn as for :class:`LayerNormGRUCell`.
    Other packages normalise each gate by itself, or pass on the normalised cell state.
    """

    integration: Integration = "layer_norm"
    forget_bias: float = 0.0
    recurrent_bias: bool | None = False
    recurrent_kernel_init: Initializer = "orthogonal"
    gain_kernel_init: Initializer = "ones"
    shift_kernel_init: Initializer = "zeros"
    first = {"f": "forget_bias"}

    @staticmethod
    def step(
        h: State,
        c: State,
        i: Gate,
        f: Gate,
        g: Gate,
        o: Gate,
        kappa: Gain,
        d: Shift,
        N: Norm,
    ) -> tuple[Tensor, Tensor]:
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        (n,) = N(c)
        return sigmoid(o) * tanh(kappa * n + d), c


class LayerNormRNN(RecurrentLayer, cell=LayerNormRNNCell): ...


class LayerNormGRU(RecurrentLayer, cell=LayerNormGRUCell): ...


class LayerNormLSTM(RecurrentLayer, cell=LayerNormLSTMCell): ...
