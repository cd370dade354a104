"""The Lipschitz recurrent network (Erichson et al., 2021)."""

from torch import Tensor, tanh

from ..cell import BaseRecurrentCell
from ..constraints import antisymmetric
from ..init import Initializer, inverse_normal_, variance_scaling
from ..layers.named import RecurrentLayer
from ..roles import Gap, Gate, Hidden, State

__all__ = ["LipschitzRNN", "LipschitzRNNCell"]


class LipschitzRNNCell(BaseRecurrentCell, citation="erichson2021lipschitz", family="ODE"):
    r"""Lipschitz recurrent cell [erichson2021lipschitz]_.

    One Euler step of a linear system plus a Lipschitz nonlinearity. Both of its matrices are
    weighted sums of a symmetric and an antisymmetric part, which bound their eigenvalues, so that
    the system can be kept stable. Use it for long, noisy sequences of images or signals.

    .. math::
        U_a &= (1 - \beta)(M + M^\top) + \beta (M - M^\top) - \gamma I \\
        U_n &= (1 - \beta)(V + V^\top) + \beta (V - V^\top) - \gamma I \\
        h_t &= h_{t-1} + \epsilon \left(U_a h_{t-1} + \tanh(W_n x_t + b_n + U_n h_{t-1})\right)

    The blocks of ``weight_hh`` are M, named a, and V, named n.

    Args:
        epsilon: step size :math:`\epsilon`; 0.03 in the authors' commands for MNIST.
        beta: :math:`\beta`, from 0, symmetric, to 1, antisymmetric; 0.75 for MNIST.
        gamma: :math:`\gamma`, which moves all eigenvalues to the left; 0.001 for MNIST.

    Sources: the authors' repository erichson/LipschitzRNN as of 2021-06-28: ``models.py``, whose
    defaults these are, ``tools.py`` for M and V, and ``README.md`` for the commands, which draw M
    and V a tenth as large. :math:`W_n` is drawn as by ``torch.nn.Linear``, as there since
    2021-03-30 (before: ``xavier_normal``); there the bias is drawn so, too, and here it is zero.
    """

    epsilon: float = 0.01
    beta: float = 0.8
    gamma: float = 0.01
    recurrent_bias: bool | None = False
    kernel_init: Initializer = variance_scaling(1 / 3, "uniform")
    recurrent_kernel_init: Initializer = inverse_normal_

    @staticmethod
    def step(h: State, a: Hidden, n: Gate, epsilon: Gap) -> Tensor:
        return h + epsilon * (a + tanh(n))

    def recurrent_kernel(self) -> Tensor:
        return antisymmetric(super().recurrent_kernel(), self.gamma, self.beta)

    def check_options(self) -> None:
        if not 0 <= self.beta <= 1:
            raise ValueError(f"beta has to be from 0 to 1, got {self.beta}")


class LipschitzRNN(RecurrentLayer, cell=LipschitzRNNCell): ...
