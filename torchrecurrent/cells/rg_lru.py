"""The real-gated linear recurrent unit (De et al., 2024)."""

from __future__ import annotations

from typing import Annotated, ClassVar

from torch import Tensor, exp, sigmoid, sqrt, where
from torch.nn.functional import softplus

from ..cell import BaseRecurrentCell
from ..init import Initializer, softplus_ring
from ..named_layer import RecurrentLayer
from ..roles import INPUT, Constant, Input, Kernel, ProductRole, State, VectorRole

__all__ = ["RGLRU", "RGLRUCell"]

Decay = Annotated[Tensor, VectorRole(Kernel("weight_decay", None, "decay_"))]
#: The input itself where it is as wide as the state.
Value = Annotated[Tensor, ProductRole(INPUT, rows="skip_size")]


class RGLRUCell(BaseRecurrentCell):
    r"""Real-gated linear recurrent unit, RG-LRU [de2024griffin]_.

    The recurrence of Griffin and RecurrentGemma: each unit decays at a learned rate that its
    gate can slow down to nothing, and takes in its input in the measure in which it forgets, so
    that its variance stays what it is. Use it in deep stacks for long sequences, as there:
    after a linear map and a short convolution, beside a gated branch.

    .. math::
        r_t &= \sigma(W_r x_t + b_r) \\
        i_t &= \sigma(W_i x_t + b_i) \\
        a_t &= \exp(-c\,\mathrm{softplus}(\Lambda) \odot r_t) \\
        h_t &= a_t \odot h_{t-1} + \sqrt{1 - a_t^2} \odot i_t \odot v_t

    where :math:`v_t = x_t` if input and state are equally wide, as the authors' are, and else
    :math:`W_v x_t + b_v`.

    Args:
        c: :math:`c`, how much faster than its learned rate a unit decays while its gate is open.
        epsilon: the least that is under the root, whose derivative has no bound; from the default
            on it would be above 1000, to which the authors limit it.
        decay_kernel_init: initialiser of :math:`\Lambda`, ``weight_decay``.

    Initialisation: :math:`\Lambda` such that :math:`e^{-\mathrm{softplus}(\Lambda)}` is the
    modulus of a number drawn evenly from a ring of the complex plane, from 0.9 to 0.999; kernels
    from N(0, 1/I), biases zero.

    Sources: the authors' repository google-deepmind/recurrentgemma,
    ``recurrentgemma/torch/layers.py``. There the gates' kernels are block-diagonal, and the
    first step of a sequence takes in its input whole, without the root.
    """

    c: float = 8.0
    epsilon: float = 2.5e-7
    kernel_init: Initializer = "lecun_normal"
    decay_kernel_init: Initializer = softplus_ring()
    citation: ClassVar[str] = "de2024griffin"
    family: ClassVar[str] = "input-gated"

    @staticmethod
    def step(
        h: State,
        r: Input,
        i: Input,
        v: Value,
        Lambda: Decay,
        c: Constant,
        epsilon: Constant,
    ) -> Tensor:
        a = exp(-(c * softplus(Lambda) * sigmoid(r)))
        s = 1 - a * a
        return a * h + sqrt(where(s > epsilon, s, epsilon)) * sigmoid(i) * v


class RGLRU(RecurrentLayer, cell=RGLRUCell):
    """Stacked :class:`RGLRUCell`."""
