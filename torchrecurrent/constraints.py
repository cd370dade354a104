"""Recurrent kernels as functions of free parameters, which keep a property during training."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["antisymmetric", "off_diagonal"]


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
