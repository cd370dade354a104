"""The phased LSTM (Neil, Pfeiffer and Liu, 2016)."""

from typing import Annotated

from torch import Tensor, exp, floor, sigmoid, tanh, where

from ..cell import BaseRecurrentCell
from ..init import Initializer, normal, uniform
from ..layers.named import RecurrentLayer
from ..roles import Constant, Gap, Gate, Peephole, State, VectorRole, Weight

__all__ = ["PhasedLSTM", "PhasedLSTMCell"]

Period = Annotated[Tensor, VectorRole(Weight("weight_period", None, "period_"))]
Shift = Annotated[Tensor, VectorRole(Weight("weight_shift", None, "shift_"))]


def within_period_(mu: Tensor, rho: Tensor) -> None:
    r"""Multiply mu by the period :math:`e^\rho`: drawn from 0 to 1, it is a part of a period."""
    mu.mul_(rho.exp())


class PhasedLSTMCell(BaseRecurrentCell, citation="neil2016phased", family="LSTM-like"):
    r"""Phased LSTM [neil2016phased]_.

    An LSTM with peepholes, each of whose units is open for a short part r of its own period, and
    nearly keeps its state meanwhile. Use it for long or irregular signals with rhythms.

    .. math::
        i_t &= \sigma(W_i x_t + b_i + U_i h_{t-1} + d_i + p_i \odot c_{t-1}) \text{ and so } f_t \\
        m_t &= f_t \odot c_{t-1} + i_t \odot \tanh(W_g x_t + b_g + U_g h_{t-1} + d_g) \\
        n_t &= \sigma(W_o x_t + b_o + U_o h_{t-1} + d_o + p_o \odot m_t) \odot \tanh m_t \\
        s_t &= s_{t-1} + \Delta t, \qquad \phi_t = ((s_t - \mu) / e^\rho) \bmod 1 \\
        k_t &= \begin{cases} 2 \phi_t / r & \text{if } \phi_t < r / 2 \\
            2 - 2 \phi_t / r & \text{if } r / 2 \le \phi_t < r \\
            \alpha \phi_t & \text{otherwise} \end{cases} \\
        h_t &= h_{t-1} + k_t \odot (n_t - h_{t-1}), \qquad
            c_t = c_{t-1} + k_t \odot (m_t - c_{t-1})

    where s is the time, :math:`e^\rho` the period and :math:`\mu` a shift.

    Args:
        r: the open part of a period; in the authors' code it is learned, as the period itself is.
        alpha: :math:`\alpha`, what leaks while a unit is closed; after training it may be 0.

    Sources: the authors' repository dannyneil/public_plstm, ``plstm.py``, but for the periods,
    which are the paper's, from memory; there they are learned themselves, not their logarithm.
    """

    dt: float = 1.0
    r: float = 0.05
    alpha: float = 0.001
    kernel_init: Initializer = normal(0.1)
    recurrent_kernel_init: Initializer = normal(0.1)
    peephole_kernel_init: Initializer = normal(0.1)
    period_kernel_init: Initializer = uniform(0.0, 3.0)
    shift_kernel_init: Initializer = "uniform"
    forget_bias: float = 2.0
    first = {"f": "forget_bias", ("mu", "rho"): within_period_}

    @staticmethod
    def step(
        h: State,
        c: State,
        s: State,
        i: Gate,
        f: Gate,
        g: Gate,
        o: Gate,
        p_i: Peephole,
        p_f: Peephole,
        p_o: Peephole,
        rho: Period,
        mu: Shift,
        r: Constant,
        alpha: Constant,
        dt: Gap,
    ) -> tuple[Tensor, Tensor, Tensor]:
        m = sigmoid(f + p_f * c) * c + sigmoid(i + p_i * c) * tanh(g)
        n = sigmoid(o + p_o * m) * tanh(m)
        s = s + dt
        phi = (s - mu) / exp(rho)
        phi = phi - floor(phi)
        k = where(phi < r / 2, 2 * phi / r, where(phi < r, 2 - 2 * phi / r, alpha * phi))
        return h + k * (n - h), c + k * (m - c), s


class PhasedLSTM(RecurrentLayer, cell=PhasedLSTMCell): ...
