"""What a stack does between its layers, and with the outputs of two directions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from .sequence import Steps, side_by_side

__all__ = [
    "Merge",
    "Stack",
    "add_input",
    "add_input_apart",
    "dropped_out",
    "merged",
    "merged_width",
    "norms",
    "read_by_next",
]

Merge = Literal["concat", "sum", "mean"]


class Stack(Protocol):
    """The options of a layer that say it."""

    num_layers: int
    merge: Merge
    dropout: float
    variational: bool
    residual: bool
    layer_norm: bool
    training: bool
    norms: nn.ModuleList


def merged(merge: Merge, parts: Sequence[Tensor]) -> Tensor:
    """The output of a layer from those of its directions."""
    if merge == "concat" or len(parts) == 1:
        return side_by_side(parts)
    total = parts[0] + parts[1]
    return total if merge == "sum" else total / 2


def merged_width(merge: Merge, widths: Sequence[int]) -> int:
    """The width of that.

    Raises:
        ValueError: the directions' outputs differ in width and can't be added.
    """
    if merge == "concat":
        return sum(widths)
    if len(set(widths)) > 1:
        raise ValueError(f"merge={merge!r} needs directions of one width, got {list(widths)}")
    return widths[0]


def norms(
    stack: Stack, widths: Sequence[int], device: Any, dtype: torch.dtype | None
) -> nn.ModuleList:
    """A layer normalisation for what each layer but the first reads.

    Args:
        stack: with the options.
        widths: of what each layer reads, and of the last one's output.
        device: where the parameters are.
        dtype: what they are.

    Raises:
        ValueError: a residual connection would join widths that differ.
    """
    for layer in range(1, stack.num_layers if stack.residual else 0):
        if widths[layer] != widths[layer + 1]:
            raise ValueError(
                f"residual=True adds what a layer reads to its output; layer {layer} reads "
                f"{widths[layer]} values and has {widths[layer + 1]}"
            )
    read = widths[1 : stack.num_layers] if stack.layer_norm else ()
    return nn.ModuleList(nn.LayerNorm(width, device=device, dtype=dtype) for width in read)


def read_by_next(stack: Stack, layer: int, steps: Steps, output: Tensor) -> Tensor:
    """What layer ``layer`` + 1 reads of the output of the one before: normalised, dropped out.

    Args:
        stack: with the options.
        layer: the one before.
        steps: of the sequences.
        output: at all these steps.
    """
    if stack.layer_norm:
        output = stack.norms[layer](output)
    return dropped_out(stack, stack.dropout, steps, output)


def dropped_out(stack: Stack, probability: float, steps: Steps, values: Tensor) -> Tensor:
    """Values at all steps, of which some elements are zeroed in training.

    Args:
        stack: ``variational``: the same elements of a sequence at all of its steps.
        probability: of an element to be zeroed.
        steps: of the sequences.
        values: at these steps.
    """
    if not probability or not stack.training:
        return values
    if not stack.variational:
        return functional.dropout(values, probability)
    kept = functional.dropout(values.new_ones(steps.sequences, values.size(-1)), probability)
    return values * steps.spread(kept)


def add_input(stack: Stack, layer: int, passed: Tensor, output: Tensor) -> Tensor:
    """The output of a layer; all but the first add what the layer before passed on."""
    return passed + output if stack.residual and layer else output


def add_input_apart(stack: Stack, passed: Steps, outputs: list[Steps]) -> list[Steps]:
    """The outputs of the last layer's directions, with a share each of what it adds to them.

    Apart, since where steps are masked each direction has its own.
    """
    if not stack.residual or stack.num_layers == 1:
        return outputs
    shares: Sequence[Tensor]
    if stack.merge == "concat":
        shares = passed.data.split([each.data.size(-1) for each in outputs], -1)
    else:
        halves = stack.merge == "sum" and len(outputs) == 2
        shares = [passed.data / 2 if halves else passed.data] * len(outputs)
    steps = [passed.with_data(share) for share in shares]
    return [
        each.with_data(each.data + (share.reversed() if k else share).data)
        for k, (each, share) in enumerate(zip(outputs, steps, strict=True))
    ]
