"""What a caller passes to a layer as steps, and the outputs of steps laid out as that was."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from ..checks import check_input, check_placement, check_width
from ..engine import exporting_to_onnx
from .between import Merge, merged
from .pieces import Marks
from .sequence import Steps

__all__ = ["Sequences", "check_row", "forward_in_time", "read", "write"]

Sequences = Tensor | PackedSequence


class Reader(Protocol):
    """The options of a layer that say how its input and output are laid out."""

    input_size: int
    batch_first: bool
    merge: Merge

    def _weight(self) -> Tensor | None: ...


def read(layer: Reader, input: Sequences, marks: Marks) -> tuple[Steps, int | None]:
    """The input as steps, and the batch size, ``None`` if unbatched.

    Raises:
        TypeError: neither a tensor nor a packed sequence.
        ValueError: a wrong rank, dtype or device, or marks that don't fit.
        RuntimeError: a wrong width, or a sequence without steps.
    """
    if isinstance(input, PackedSequence):
        marks.refuse_packed()
        _check(layer, input.data)
        steps = Steps.of_packed(input)
        return steps, steps.batch_size
    check_input(type(layer).__name__, input, (2, 3), "a Tensor or a PackedSequence")
    _check(layer, input)
    unbatched = input.dim() == 2
    if unbatched and marks.lengths is not None:
        raise ValueError("lengths: an unbatched input is all valid, expected None")
    marks = marks.laid_out(input, layer.batch_first)
    if unbatched:
        input = input.unsqueeze(1)
    elif layer.batch_first:
        input = input.transpose(0, 1)
    if input.size(0) == 0:
        raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
    if marks.lengths is not None and exporting_to_onnx():
        return Steps.of_masked(input, marks.lengths), input.size(1)
    return marks.steps(input), None if unbatched else input.size(1)


def check_row(layer: Reader, input: Tensor) -> None:
    """Check the input of one step, ``(N, I)`` or ``(I,)``; raise as :func:`read`."""
    check_input(type(layer).__name__, input, (1, 2))
    _check(layer, input)


def _check(layer: Reader, input: Tensor) -> None:
    check_width(input, layer.input_size)
    check_placement("input", input, layer._weight())


def write(layer: Reader, input: Sequences, steps: Steps, outputs: Sequence[Steps]) -> Sequences:
    """The outputs of the last layer's directions, laid out as the input was."""
    parts = forward_in_time(outputs)
    if isinstance(input, PackedSequence):
        return steps.with_data(merged(layer.merge, parts)).to_packed()
    unbatched, time = input.dim() == 2, 1 if layer.batch_first and input.dim() == 3 else 0
    length = input.size(time)
    padded = merged(
        layer.merge, [steps.padded(part, length, bool(k)) for k, part in enumerate(parts)]
    )
    if unbatched:
        return padded.squeeze(1)
    return padded.transpose(0, 1) if layer.batch_first else padded


def forward_in_time(outputs: Sequence[Steps]) -> list[Tensor]:
    """The outputs of each direction, whose second is backwards."""
    return [(each.reversed() if k else each).data for k, each in enumerate(outputs)]
