"""Recurrent kernels as functions of free parameters, which keep a property during training."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["antisymmetric", "off_diagonal", "orthogonal", "stochastic", "to_lower"]


def antisymmetric(weight: Tensor | None, gamma: float, beta: float = 1.0) -> Tensor:
    """Return ``V - V.T - gamma * I`` for each diagonal block; a vector has blocks of one unit.

    With ``beta`` below 1 it is ``(1 - beta) (V + V.T) + beta (V - V.T) - gamma * I``.
    """
    assert weight is not None
    width = weight.size(1) if weight.dim() > 1 else 1
    blocks = weight.view(-1, width, width)
    identity = torch.eye(width, dtype=weight.dtype, device=weight.device)
    return (blocks + (1 - 2 * beta) * blocks.mT - gamma * identity).view_as(weight)


def off_diagonal(weight: Tensor | None) -> Tensor:
    """Return a kernel with zeros on the diagonal of each diagonal block; a vector is all zeros."""
    assert weight is not None
    width = weight.size(1) if weight.dim() > 1 else 1
    identity = torch.eye(width, dtype=weight.dtype, device=weight.device)
    return (weight.view(-1, width, width) * (1 - identity)).view_as(weight)


def orthogonal(weight: Tensor | None) -> Tensor:
    """Return the exponential of an antisymmetric matrix for each diagonal block.

    Of a block counts what is above the diagonal. It is a rotation whatever the weight is; those of
    a vector, whose blocks have one unit, are 1.
    """
    assert weight is not None
    width = weight.size(1) if weight.dim() > 1 else 1
    above = weight.view(-1, width, width).triu(1)
    skew = (above - above.mT).to(torch.promote_types(weight.dtype, torch.float32))
    exponential = _by_squaring if torch.onnx.is_in_onnx_export() else torch.linalg.matrix_exp
    return exponential(skew).to(weight.dtype).view_as(weight)


def stochastic(weight: Tensor | None) -> Tensor:
    """Return the softmax of each column of each diagonal block; a vector is all ones."""
    assert weight is not None
    width = weight.size(1) if weight.dim() > 1 else 1
    return weight.view(-1, width, width).softmax(1).view_as(weight)


def to_lower(weight: Tensor | None, level: Tensor) -> Tensor:
    """Return a kernel with zeros where a unit would see one of a lower level than its own.

    Args:
        weight: the kernel, with any number of diagonal blocks; a vector stays as it is.
        level: of each unit, a number.
    """
    assert weight is not None
    width = weight.size(1) if weight.dim() > 1 else 1
    levels = level.view(-1, width)
    sees = levels.unsqueeze(2) <= levels.unsqueeze(1)
    return (weight.view(-1, width, width) * sees.to(weight.dtype)).view_as(weight)


def _by_squaring(skew: Tensor) -> Tensor:
    """Return the exponential by products alone, as ONNX has no other, for a norm of up to 64."""
    small = skew.double() / 32
    power = total = torch.eye(skew.size(-1), dtype=small.dtype, device=skew.device)
    for n in range(1, 25):  # 2^24 / 24! is less than a rounding, 32 times of which are left
        power = power @ small / n
        total = total + power
    for _ in range(5):
        total = total @ total
    return total
