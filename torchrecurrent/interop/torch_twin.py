"""The layer of ``torch.nn`` that a class of cells may declare to compute the same as its step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["TorchTwin"]


@dataclass(frozen=True)
class TorchTwin:
    """A layer of ``torch.nn`` that runs a cell's step over a whole sequence, with its parameters.

    On a CUDA device that is a kernel of cuDNN. It holds for a cell with a dense recurrence, whose
    parameters are those of the layer: ``weight_ih``, ``weight_hh``, their biases or some of them,
    and ``projection``; with any other option the cell's own kernels run.
    """

    #: The function that the layer calls: ``lstm``, ``gru``, ``rnn_tanh`` or ``rnn_relu``.
    function: str
    #: How many gates the parameters stack, in the layer's own order.
    gates: int
    #: The values of the cell's options for which it is the same.
    options: Mapping[str, object] = field(default_factory=dict)
    #: The parameter that projects the output, if the layer has one.
    projection: str = ""
