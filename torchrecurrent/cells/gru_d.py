"""The GRU with trainable decays, for missing values (Che et al., 2018)."""

from typing import Annotated

from torch import Tensor, exp, isnan, nn, relu, sigmoid, tanh, where, zeros_like

from ..cell import BaseRecurrentCell
from ..init import Initializer, uniform
from ..layers.named import RecurrentLayer
from ..roles import (
    INPUT,
    RECURRENT,
    Function,
    Functions,
    Gap,
    Input,
    Map,
    MapRole,
    State,
    StateRole,
    VectorRole,
    Weight,
)

__all__ = ["GRUD", "GRUDCell"]

OfInput = Annotated[Tensor, StateRole("input_size")]
Values = Annotated[Functions, MapRole(INPUT, "hidden_size", "input_size", True, ("z", "r", "n"))]
Masks = Annotated[
    Functions,
    MapRole(Weight("weight_mh", None, "mask_"), "hidden_size", "input_size", True, ("z", "r", "n")),
]
Gates = Annotated[Functions, MapRole(RECURRENT, results=("z", "r"))]
Decay = Annotated[
    Function,
    MapRole(Weight("weight_decay", "bias_decay", "decay_"), "hidden_size", "input_size", True),
]
Fading = Annotated[Tensor, VectorRole(Weight("weight_fade", None, "fade_"), "input_size")]
Mean = Annotated[Tensor, VectorRole(Weight("weight_mean", None, "mean_"), "input_size")]


class GRUDCell(BaseRecurrentCell, citation="che2018recurrent", family="GRU-like"):
    r"""GRU-D, a GRU for series with missing values [che2018recurrent]_.

    NaN in the input is a value that is missing. In its place comes the last one that was observed,
    which fades to a mean with the time since then; the state decays with this time too, and the
    gates see which values are missing. Use it for records in which things are measured now and
    then, each at its own times.

    .. math::
        m_t &= 1 \text{ where } x_t \text{ is observed, else } 0,
            \qquad \delta_t = e_{t-1} + \Delta t \\
        \hat x_t &= m_t \odot x_t + (1 - m_t) \odot
            (\mu + e^{-\mathrm{relu}(w \odot \delta_t + \beta)} \odot v_{t-1}) \\
        \hat h_t &= h_{t-1} \odot e^{-\mathrm{relu}(D \delta_t + d_D)} \\
        z_t &= \sigma(W_z \hat x_t + d_{W_z} + V_z m_t + U_z \hat h_t)
            \quad\text{and so}\quad r_t \\
        n_t &= \tanh(W_n \hat x_t + d_{W_n} + V_n m_t + R (r_t \odot \hat h_t)) \\
        h_t &= (1 - z_t) \odot \hat h_t + z_t \odot n_t \\
        v_t &= m_t \odot (x_t - \mu) + (1 - m_t) \odot v_{t-1}, \qquad
            e_t = (1 - m_t) \odot \delta_t

    where :math:`v` is the last observation of each value less its mean :math:`\mu`, and
    :math:`\delta` the time since then. Values that have not been observed yet are their mean.

    Args:
        dt: the time since the step before, where a call has none.
        frozen: by default the means, ``weight_mean``, are not trained; they are zero, which is
            right for an input that has been standardised, until you write others into them, as in
            ``cell.weight_mean.copy_(mean)``.

    Sources: the paper, from memory, and ``nn_utils/grud_layers.py`` in PeterChe1990/GRU-D, of its
    first author, which differs: it mixes n with the state before the decay, has no mean, and shows
    gates what is missing in place of what is observed. There decays begin with zeros, at which relu
    has no slope; here with small rates.
    """

    dt: float = 1.0
    recurrent_bias: bool | None = False
    frozen: tuple[str, ...] = ("weight_mean",)
    recurrent_kernel_init: Initializer = "orthogonal"
    mask_kernel_init: Initializer = "xavier_uniform"
    decay_kernel_init: Initializer = uniform(0.0, 0.1)
    decay_bias: bool | None = None
    decay_bias_init: Initializer = "zeros"
    fade_kernel_init: Initializer = uniform(0.0, 0.1)
    mean_kernel_init: Initializer = "zeros"
    first = {"beta": nn.init.zeros_}

    @staticmethod
    def step(
        h: State,
        v: OfInput,
        e: OfInput,
        x: Input,
        W: Values,
        V: Masks,
        U: Gates,
        R: Map,
        D: Decay,
        w: Fading,
        beta: Fading,
        mu: Mean,
        dt: Gap,
    ) -> tuple[Tensor, Tensor, Tensor]:
        missing = isnan(x)
        delta = e + dt
        h = h * exp(-relu(D(delta)))
        v = where(missing, v, x - mu)
        x = where(missing, mu + exp(-relu(w * delta + beta)) * v, x)
        m = where(missing, zeros_like(v), 1.0)
        z, r, n = W(x) + V(m)
        U_z, U_r = U(h)
        z, r = sigmoid(z + U_z), sigmoid(r + U_r)
        n = tanh(n + R(r * h))
        return (1 - z) * h + z * n, v, where(missing, delta, 0.0)


class GRUD(RecurrentLayer, cell=GRUDCell): ...
