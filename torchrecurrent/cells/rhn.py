"""The recurrent highway network (Zilly et al., 2017)."""

from typing import Annotated

from torch import Tensor, sigmoid, tanh

from ..cell import BaseRecurrentCell
from ..init import Initializer
from ..layers.named import RecurrentLayer
from ..roles import Function, Gate, MapsRole, State, Weight

__all__ = ["RHN", "RHNCell"]

DEPTH = Weight("weight_dh", "bias_dh", "depth_")
Layers = Annotated[tuple[Function, ...], MapsRole(DEPTH, "depth", first=1)]


class RHNCell(BaseRecurrentCell, citation="zilly2017recurrent", family="highway"):
    r"""Recurrent highway cell [zilly2017recurrent]_.

    A step is itself a deep network: L highway layers, of which only the first sees the input. Use
    it for language models, where one step of the sequence needs a long computation.

    .. math::
        t_{0,t} &= \sigma(W_t x_t + b_t + U_t s_{t-1} + d_t) \\
        t_{k,t} &= \sigma(T_k s_{k-1,t} + d_{T_k}) \quad\text{for } k = 1, 2 \\
        s_{0,t} &= t_{0,t} \odot \tanh(W_h x_t + b_h + U_h s_{t-1} + d_h)
            + (1 - t_{0,t}) \odot s_{t-1} \\
        s_{k,t} &= t_{k,t} \odot \tanh(H_k s_{k-1,t} + d_{H_k}) + (1 - t_{k,t}) \odot s_{k-1,t}
            \quad\text{for } k = 1, 2 \\
        s_t &= s_{2,t}

    Gates are coupled, :math:`c = 1 - t`, as in all of the paper's experiments; these are for L = 3.

    Args:
        depth: L, the number of highway layers.
        transform_bias: added to the first value of the transform gates' biases; -2 for Penn
            Treebank and -4 for enwik8 and text8 in the paper.

    Sources: the authors' repository jzilly/RecurrentHighwayNetworks, ``rhn.py``, ``rhn_train.py``
    and ``theano_rhn.py``. They draw the rest from U(-0.04, 0.04), for widths of 830 to 1500, and
    use the paper's dropout, which is not included.
    """

    depth: int = 3
    transform_bias: float = -2.0
    depth_bias: bool | None = None
    depth_kernel_init: Initializer = "xavier_uniform"
    depth_bias_init: Initializer = "zeros"
    first = {"t": "transform_bias", "T": "transform_bias"}

    @staticmethod
    def step(s: State, h: Gate, t: Gate, H: Layers, T: Layers) -> Tensor:
        s = s + sigmoid(t) * (tanh(h) - s)
        for H_l, T_l in zip(H, T, strict=True):
            s = s + sigmoid(T_l(s)) * (tanh(H_l(s)) - s)
        return s


class RHN(RecurrentLayer, cell=RHNCell): ...
