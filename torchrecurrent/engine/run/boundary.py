"""Checks before a kernel may take pointers: no observer is active, and the tensors are plain.

A kernel reads and writes memory without torch's knowledge. So it runs only where nobody would
have observed the operations that it replaces, and on tensors that are nothing but their memory;
anything not known to be harmless is refused, and the reference loop runs. A tensor whose shape,
dtype or device does not match its cell's layout is an error on every path.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from ...checks import is_autocast
from .torch_private import interception, not_plain

__all__ = ["check_memory", "check_parameters", "obstacle"]

Shape = tuple[int, ...]


def obstacle(device_type: str, tensors: Iterable[tuple[str, Tensor]]) -> str:
    """Return why a kernel can't run a call, whatever the cell is; empty if it can.

    Args:
        device_type: where the kernel runs.
        tensors: all tensors that it would read, with their names.
    """
    return interception() or not_plain(device_type, tensors)


def check_parameters(
    shapes: Mapping[str, Shape], parameters: Mapping[str, Tensor | None], data: Tensor
) -> None:
    """Raise RuntimeError unless a cell's parameters match its layout.

    Args:
        shapes: the shapes of the layout.
        parameters: the present parameters.
        data: the input, whose device they have to share. Under autocast their dtypes may differ.
    """
    dtype: torch.dtype | None = None
    for name, shape in shapes.items():
        value = parameters.get(name)
        if value is None:
            continue
        if not isinstance(value, Tensor):
            raise RuntimeError(f"{name}: expected a Tensor, got: {type(value).__name__}")
        if value.shape != shape:
            raise RuntimeError(f"{name}: expected shape {shape}, got {tuple(value.shape)}")
        if value.device != data.device:
            raise RuntimeError(
                f"Expected all tensors to be on the same device, but {name} is on "
                f"{value.device} and the input is on {data.device}"
            )
        if value.dtype is not dtype:
            if dtype is None:
                dtype = value.dtype
            elif not is_autocast(data.device):
                raise RuntimeError(
                    f"{name}: expected dtype {dtype}, as the other parameters, got {value.dtype}"
                )


def check_memory(
    tensors: Iterable[tuple[str, Tensor, Sequence[int]]], dtype: torch.dtype, device_type: str
) -> None:
    """Raise RuntimeError unless a kernel may read tensors of certain shapes by their pointers.

    This is the last check of all that a kernel reads: parameters, data, states and gradients.
    """
    seen = []
    for name, tensor, shape in tensors:
        if tensor.shape != shape:
            raise RuntimeError(f"{name}: expected shape {tuple(shape)}, got {tuple(tensor.shape)}")
        if tensor.dtype is not dtype:
            raise RuntimeError(f"{name}: expected dtype {dtype}, got {tensor.dtype}")
        if not tensor.is_contiguous():
            raise RuntimeError(f"{name}: expected a contiguous tensor, got {tensor.stride()}")
        seen.append((name, tensor))
    if reason := not_plain(device_type, seen):
        raise RuntimeError(reason)
