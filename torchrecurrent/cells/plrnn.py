"""The piecewise-linear recurrent network (Koppe et al., 2019)."""

from typing import Annotated

from torch import Tensor, relu

from ..cell import BaseRecurrentCell
from ..constraints import off_diagonal
from ..init import Initializer, contract_, variance_scaling
from ..layers.named import RecurrentLayer
from ..roles import Map, Projected, State, VectorRole, Weight

__all__ = ["PLRNN", "PLRNNCell"]

Decay = Annotated[Tensor, VectorRole(Weight("weight_a", None, "decay_"))]


class PLRNNCell(BaseRecurrentCell, citation="koppe2019identifying", family="simple"):
    r"""Piecewise-linear recurrent network, PLRNN [koppe2019identifying]_.

    Linear wherever no unit changes its sign, so that its fixed points and cycles can be computed
    exactly. Use it to find the dynamical system behind a time series, as in neuroscience.

    .. math::
        z_t = A \odot z_{t-1} + W \mathrm{relu}(z_{t-1}) + W_s x_t + b_s

    where W has a diagonal of zeros: what ``weight_hh`` has there does not count.

    Sources: the authors' DurstewitzLab/reg-PLRNN, ``machine_learning_benchmarks``, file
    ``benchmark_run/gdplrnn/model.py``, without its readout and learned first state.
    """

    recurrent_bias: bool | None = False
    kernel_init: Initializer = variance_scaling(0.02, mode="fan_out")
    recurrent_kernel_init: Initializer = "lecun_normal"
    decay_kernel_init: Initializer = variance_scaling(1.0, mode="fan_out")
    bias_init: Initializer = variance_scaling(1.0, mode="fan_out")
    first = {("weight_hh.W", "A"): contract_}

    @staticmethod
    def step(z: State, s: Projected, A: Decay, W: Map) -> Tensor:
        return A * z + W(relu(z)) + s

    def recurrent_kernel(self) -> Tensor:
        return off_diagonal(super().recurrent_kernel())


class PLRNN(RecurrentLayer, cell=PLRNNCell): ...
