"""A recurrent layer and a linear read-out of its last valid output."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

import torchrecurrent

__all__ = ["LAYERS", "SequenceModel", "build_layer"]

#: Names of the literature. Any other is looked up in :mod:`torchrecurrent`.
LAYERS: dict[str, type[nn.Module]] = {
    "LSTM": nn.LSTM,
    "GRU": nn.GRU,
    "BRC": torchrecurrent.BR,
    "nBRC": torchrecurrent.nBR,
}


def build_layer(cell: str, input_size: int, hidden_size: int, num_layers: int) -> nn.Module:
    """A recurrent layer by name.

    Args:
        cell: a key of :data:`LAYERS`, or the name of a layer or cell of
            :mod:`torchrecurrent`; ``"torchrecurrent.LSTM"`` where a key hides it.
        input_size: I.
        hidden_size: H.
        num_layers: L.

    Raises:
        ValueError: there is no such layer or cell.
    """
    if cell in LAYERS:
        return LAYERS[cell](input_size, hidden_size, num_layers)
    found = getattr(torchrecurrent, cell.removeprefix("torchrecurrent."), None)
    if isinstance(found, type) and found is not torchrecurrent.RecurrentLayer:
        if issubclass(found, torchrecurrent.RecurrentLayer):
            return found(input_size, hidden_size, num_layers)
        if (
            issubclass(found, torchrecurrent.BaseRecurrentCell)
            and found is not torchrecurrent.BaseRecurrentCell
        ):
            return torchrecurrent.Recurrent(found, input_size, hidden_size, num_layers)
    raise ValueError(
        f"cell: expected one of {', '.join(LAYERS)} or a layer or cell of torchrecurrent, "
        f"got {cell!r}"
    )


class SequenceModel(nn.Module):
    """One answer for each sequence.

    Args:
        cell: as :func:`build_layer` takes it.
        input_size: I.
        hidden_size: H.
        num_layers: L.
        output_size: O.

    Inputs: inputs
        - **inputs**: ``(T, N, I)``, or packed.

    Outputs: answer
        - **answer**: ``(N, O)``, in the order of the sequences given.

    Raises:
        ValueError: there is no such layer or cell.
    """

    def __init__(
        self, cell: str, input_size: int, hidden_size: int, num_layers: int, output_size: int
    ) -> None:
        super().__init__()
        self.layer = build_layer(cell, input_size, hidden_size, num_layers)
        self.read_out = nn.Linear(hidden_size, output_size)

    def forward(self, inputs: Tensor | PackedSequence) -> Tensor:
        """The answers, ``(N, O)``."""
        outputs, _ = self.layer(inputs)
        answer: Tensor = self.read_out(last_valid(outputs))
        return answer

    def parameter_count(self) -> int:
        """Number of trained values."""
        return sum(each.numel() for each in self.parameters() if each.requires_grad)


def last_valid(outputs: Tensor | PackedSequence) -> Tensor:
    """Each sequence's output after its own last step, ``(N, H)``, of ``(T, N, H)`` or packed."""
    if isinstance(outputs, PackedSequence):
        padded, lengths = pad_packed_sequence(outputs)
        return padded[lengths - 1, torch.arange(len(lengths))]
    return outputs[-1]
