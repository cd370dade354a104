"""The light GRU (Ravanelli et al., 2018)."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..activations import Activation
from ..cell import BaseRecurrentCell
from ..declaration.options import expected
from ..init import Initializer
from ..layers.named import RecurrentLayer
from ..roles import Gate, GateNonlinearity, Nonlinearity, State

__all__ = ["LiGRU", "LiGRUCell"]


class LiGRUCell(BaseRecurrentCell, citation="ravanelli2018light", family="one-gate"):
    r"""Light gated recurrent cell [ravanelli2018light]_.

    A GRU without a reset gate, with a relu. It was designed for speech, where resetting the state
    matters little; the relu, which is unbounded, needs the batch normalisation of :class:`LiGRU`.

    .. math::
        z_t &= \sigma(W_z x_t + b_z + U_z h_{t-1} + d_z) \\
        n_t &= \phi(W_n x_t + b_n + U_n h_{t-1} + d_n) \\
        h_t &= z_t \odot h_{t-1} + (1 - z_t) \odot n_t

    In the paper W x is batch-normalised and there is no other bias: see :class:`LiGRU`.

    Sources: mravanelli/pytorch-kaldi, ``neural_networks.py`` (the first author's), and speechbrain,
    ``nnet/RNN.py``; their dropout of the candidate, one mask for all time steps, is not included.
    """

    nonlinearity: Activation = "relu"
    gate_nonlinearity: Activation = "sigmoid"
    recurrent_kernel_init: Initializer = "orthogonal"

    @staticmethod
    def step(
        h: State, z: Gate, n: Gate, nonlinearity: Nonlinearity, gate_nonlinearity: GateNonlinearity
    ) -> Tensor:
        z = gate_nonlinearity(z)
        return z * h + (1 - z) * nonlinearity(n)


class NormalizedLiGRUCell(LiGRUCell):
    """A LiGRU cell whose projected inputs are batch-normalised, over all steps of a sequence.

    The norm's shift replaces the biases.
    """

    bias: bool = False
    norm: ClassVar[nn.BatchNorm1d]

    def _create_parameters(self, device: Any, dtype: torch.dtype | None) -> None:
        super()._create_parameters(device, dtype)
        # The authors' momentum. One norm serves both gates: it treats each unit separately.
        norm = nn.BatchNorm1d(2 * self.hidden_size, momentum=0.05, device=device, dtype=dtype)
        self.add_module("norm", norm)

    def project(self, input: Tensor) -> tuple[Tensor, ...]:
        (projected,) = super().project(input)
        rows = projected.reshape(-1, projected.size(-1))
        return (self.norm(rows).view_as(projected),)


class LiGRU(RecurrentLayer, cell=LiGRUCell):
    """
    Args:
        batch_norm: whether W x is batch-normalised, over all sequences and their valid steps,
            as in the paper: in training by the statistics of the batch, in evaluation by
            running ones. The cells then have no bias unless ``recurrent_bias=True``, and run in
            the reference loop. In the authors' code both directions share one norm; here each
            has its own.
    """

    @classmethod
    def variant(cls, *, batch_norm: bool = False) -> type[BaseRecurrentCell]:
        if not isinstance(batch_norm, bool):
            raise expected("batch_norm", "bool", batch_norm)
        return NormalizedLiGRUCell if batch_norm else cls.cell
