"""What has to hold before a kernel may take pointers: who is watching, and what tensors are.

A kernel reads and writes memory behind torch's back. So it runs only where nobody would have
seen the operations that it replaces, and on tensors that are no more than their memory; what
is not known to be harmless is refused, and the reference loop runs. And a tensor whose shape,
dtype or device is not what its cell's layout says is an error on every path.
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
    """Why a call can't be a kernel's, whatever the cell is; empty if it can.

    Args:
        device_type: where the kernel runs.
        tensors: all that it would read, with their names.
    """
    return interception() or not_plain(device_type, tensors)


def check_parameters(
    shapes: Mapping[str, Shape], parameters: Mapping[str, Tensor | None], data: Tensor
) -> None:
    """Raise RuntimeError unless a cell's parameters are what its layout says.

    Args:
        shapes: those that the layout says.
        parameters: the parameters as they are.
        data: the input, beside which they have to lie. Under autocast their dtypes may differ.
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

    This is asked last, of all that a kernel reads: parameters, data, states and gradients.
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
