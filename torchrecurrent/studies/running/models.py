"""A recurrent layer and a linear read-out of its outputs."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

import torchrecurrent

from ...by_name import import_by_name, read_option
from ...catalog.listing import cells, names_of
from ...closest import did_you_mean
from ...layers.recurrent import Recurrent
from ..tasks.task import Answers

__all__ = ["LAYERS", "SequenceModel", "build_layer", "full_name"]

#: Names used in the literature. Any other is looked up in :mod:`torchrecurrent`.
LAYERS: dict[str, type[nn.Module]] = {
    "LSTM": nn.LSTM,
    "GRU": nn.GRU,
    "BRC": torchrecurrent.BR,
    "nBRC": torchrecurrent.nBR,
}


def build_layer(cell: str, input_size: int, hidden_size: int, num_layers: int) -> nn.Module:
    """Build a recurrent layer by name.

    Args:
        cell: a key of :data:`LAYERS`; the name of a layer or cell of :mod:`torchrecurrent`, in
            upper or lower case, ``"torchrecurrent.LSTM"`` if a key hides it; or
            ``"package.module:Class"``, a layer or cell from elsewhere, including the current
            folder. Options follow after commas: ``"nBRC,recurrent_kernel_init=orthogonal"``.
        input_size: I.
        hidden_size: H.
        num_layers: L.

    Raises:
        ValueError: if there is no such layer or cell, or it refuses an option.
    """
    name, *given = cell.split(",")
    found = _find(name)
    sizes: Any = (input_size, hidden_size, num_layers)
    try:
        options = dict(map(read_option, given))
        is_layer = isinstance(found, type) and issubclass(found, (nn.RNNBase, Recurrent))
        layer: nn.Module = (
            found(*sizes, **options) if is_layer else Recurrent(found, *sizes, **options)
        )
        return layer
    except (TypeError, ValueError) as error:
        raise ValueError(f"cell: could not build {cell!r}: {error}") from error


def full_name(cell: str) -> str:
    """Return ``cell`` with its name as it is written here, whatever its case was.

    Raises:
        ValueError: if there is no such layer or cell.
    """
    name, comma, options = cell.partition(",")
    if ":" in name:
        return cell
    known = _names()
    found = (
        name
        if name in known
        else {each.lower(): each for each in reversed(known)}.get(name.lower())
    )
    if found is None:
        raise ValueError(
            f"cell: expected one of {', '.join(LAYERS)}, a layer or cell of torchrecurrent, or "
            f"package.module:Class, got {name!r}{did_you_mean(name, known)}"
        )
    return f"{found}{comma}{options}"


def _names() -> list[str]:
    """Return all names that a layer or cell has here, the shortest first."""
    own = [name for cell in cells().values() for name in reversed(names_of(cell))]
    return [*LAYERS, *own, *(f"torchrecurrent.{name}" for name in own)]


def _find(name: str) -> Any:
    if ":" in name:
        try:
            found = import_by_name(name)
        except ValueError as error:
            raise ValueError(f"cell: {error}") from error
        if not callable(found):
            raise ValueError(
                f"cell: expected a class of layers or cells at {name!r}, got {found!r}"
            )
        return found
    name = full_name(name)
    return LAYERS.get(name) or getattr(torchrecurrent, name.removeprefix("torchrecurrent."))


class SequenceModel(nn.Module):
    """One answer for each sequence, or for each of its last steps.

    Args:
        cell: as :func:`build_layer` takes it.
        input_size: I.
        hidden_size: H.
        num_layers: L.
        output_size: O.
        answers: the steps that have an answer.

    Inputs: inputs, state
        - **inputs**: ``(T, N, I)``, or packed.
        - **state**: the layer's first state. Default: the layer's own.

    Outputs: answer, state
        - **answer**: ``(N, O)`` for the last valid step, else ``(N, steps answered, O)``;
          in the order of the sequences given.
        - **state**: the layer's last state.

    Raises:
        ValueError: there is no such layer or cell.
    """

    def __init__(
        self,
        cell: str,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        output_size: int,
        answers: Answers = "last",
    ) -> None:
        super().__init__()
        self.layer = build_layer(cell, input_size, hidden_size, num_layers)
        self.read_out = nn.Linear(output_width(self.layer), output_size)
        self.answers: Answers = answers

    def forward(self, inputs: Tensor | PackedSequence, state: Any = None) -> tuple[Tensor, Any]:
        """Return the answers and the last state."""
        outputs, state = self.layer(inputs, state)
        if self.answers == "last":
            answer = self.read_out(last_valid(outputs))
        else:
            first = 0 if self.answers == "every" else -self.answers
            answer = self.read_out(outputs[first:]).transpose(0, 1)
        return answer, state

    def parameter_count(self) -> int:
        """Number of trained values."""
        return sum(each.numel() for each in self.parameters() if each.requires_grad)


def output_width(layer: nn.Module) -> int:
    """Return the width of a layer's outputs, by its attributes or by those of torch's layers."""
    if not isinstance(layer, nn.RNNBase):
        return cast("int", layer.output_size)
    return (layer.proj_size or layer.hidden_size) * (1 + layer.bidirectional)


def last_valid(outputs: Tensor | PackedSequence) -> Tensor:
    """Return each sequence's output after its last step, ``(N, H)``, of ``(T, N, H)`` or packed."""
    if isinstance(outputs, PackedSequence):
        padded, lengths = pad_packed_sequence(outputs)
        return padded[lengths - 1, torch.arange(len(lengths))]
    return outputs[-1]
