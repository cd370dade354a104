"""Initialisers of kernels, scaled by the number of weights that a unit sums over."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from .made import Made

__all__ = [
    "before_softplus",
    "by_unit",
    "gain",
    "hidden_uniform_",
    "hidden_uniform_columns_",
    "inverse_normal_",
    "kaiming_uniform_8_",
    "normal",
    "orthogonal_",
    "softplus_uniform",
    "uniform",
    "variance_scaling",
    "xavier_vector_",
]


def uniform(low: float = 0.0, high: float = 1.0) -> Callable[[Tensor], Tensor]:
    """Make an initialiser that fills from U(low, high), whatever the width."""
    return Made("uniform", nn.init.uniform_, (low, high))


def softplus_uniform(low: float = 0.0, high: float = 1.0) -> Callable[[Tensor], Tensor]:
    """Like :func:`uniform`, for what is positive, since softplus makes it of a parameter.

    It fills with numbers of which softplus is drawn from U(low, high).

    Raises:
        ValueError: not ``0 <= low < high``.
    """
    if not 0 <= low < high:
        raise ValueError(f"softplus_uniform: expected 0 <= low < high, got {low} and {high}")
    return Made("softplus_uniform", _softplus_uniform_, (low, high))


def _softplus_uniform_(tensor: Tensor, low: float, high: float) -> Tensor:
    positive = torch.empty_like(tensor, dtype=torch.float64).uniform_(low, high).clamp_(min=1e-12)
    return tensor.copy_(before_softplus(positive))


def before_softplus(values: Tensor) -> Tensor:
    """Return the numbers of which softplus makes positive ones."""
    return values + torch.log(-torch.expm1(-values))


def normal(std: float = 1.0) -> Callable[[Tensor], Tensor]:
    r"""Make an initialiser that fills from :math:`N(0, \text{std}^2)`, whatever the width."""
    return Made("normal", _normal_, (std,))


def _normal_(tensor: Tensor, std: float) -> Tensor:
    return nn.init.normal_(tensor, std=std)


def hidden_uniform_(tensor: Tensor) -> Tensor:
    r"""Fill with :math:`U(-1/\sqrt H, 1/\sqrt H)`, as :class:`torch.nn.LSTM` does.

    Args:
        tensor: a block of shape ``(H, *)``; H is its number of rows.
    """
    bound = 1 / math.sqrt(tensor.size(0)) if tensor.size(0) else 0.0
    return nn.init.uniform_(tensor, -bound, bound)


def hidden_uniform_columns_(tensor: Tensor) -> Tensor:
    r"""Like :func:`hidden_uniform_`, for a block of shape ``(*, H)``."""
    bound = 1 / math.sqrt(tensor.size(-1))
    return nn.init.uniform_(tensor, -bound, bound)


def variance_scaling(
    scale: float = 1.0,
    distribution: Literal["normal", "uniform"] = "normal",
    mode: Literal["fan_in", "fan_out"] = "fan_in",
) -> Callable[[Tensor], Tensor]:
    r"""Make an initialiser with variance :math:`\text{scale}/n`, where a unit has n weights.

    A scale of 1 is LeCun's, ``"lecun_normal"`` and ``"lecun_uniform"``, which preserves the
    variance of the input. A unit of a vector has one weight.

    Args:
        scale: the variance of a unit's weights times their number.
        distribution: the distribution that they are drawn from.
        mode: ``"fan_out"``: n is the number of units instead, also of those of a vector.

    Raises:
        ValueError: a scale that is not positive, another distribution or another mode.
    """
    if not scale > 0:
        raise ValueError(f"variance_scaling: scale should be positive, got {scale}")
    if distribution not in ("normal", "uniform"):
        raise ValueError(
            "variance_scaling: distribution should be one of ('normal', 'uniform'), "
            f"got {distribution!r}"
        )
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(
            f"variance_scaling: mode should be one of ('fan_in', 'fan_out'), got {mode!r}"
        )
    given = (scale, distribution) if mode == "fan_in" else (scale, distribution, mode)
    return Made("variance_scaling", _variance_scaling_, given)


def _variance_scaling_(
    tensor: Tensor, scale: float, distribution: str, mode: str = "fan_in"
) -> Tensor:
    n = _columns(tensor) if mode == "fan_in" else max(tensor.size(0), 1)
    std = math.sqrt(scale / n)
    if distribution == "normal":
        return nn.init.normal_(tensor, std=std)
    return nn.init.uniform_(tensor, -math.sqrt(3) * std, math.sqrt(3) * std)


def inverse_normal_(tensor: Tensor) -> Tensor:
    r"""Fill from :math:`N(0, 1/n^2)`, where a unit has n weights, as [erichson2021lipschitz]_."""
    return nn.init.normal_(tensor, std=1 / _columns(tensor))


def _columns(tensor: Tensor) -> int:
    """Return the number of weights of a unit: one for a vector, which is a diagonal."""
    return tensor.size(-1) if tensor.dim() > 1 else 1


def xavier_vector_(tensor: Tensor) -> Tensor:
    r"""Fill a vector of H numbers from :math:`U(-\sqrt{3/H}, \sqrt{3/H})`.

    This is Xavier's initialiser in TensorFlow, which takes both fans of a vector to be its
    length.
    """
    bound = math.sqrt(3 / tensor.size(0))
    return nn.init.uniform_(tensor, -bound, bound)


def kaiming_uniform_8_(tensor: Tensor) -> Tensor:
    r"""Fill a block ``(H, I)`` with :math:`U(\pm\sqrt{6 / (65 I)})`, Kaiming's at a slope of 8."""
    return nn.init.kaiming_uniform_(tensor, a=8)


def orthogonal_(tensor: Tensor) -> Tensor:
    """Call :func:`torch.nn.init.orthogonal_`, in float32 if torch can't in half precision."""
    if tensor.dtype in (torch.float16, torch.bfloat16):
        return tensor.copy_(nn.init.orthogonal_(tensor.float()))
    return nn.init.orthogonal_(tensor)


def gain(factor: float) -> Callable[[Tensor], Tensor]:
    """Make an initialiser that multiplies the values that another one has filled in."""
    return Made("gain", torch.Tensor.mul_, (factor,))


def by_unit(initializer: Callable[[Tensor], object]) -> Callable[[Tensor], object]:
    """Let an initialiser that needs a matrix take a vector of recurrent weights.

    Such a vector is the diagonal of a matrix: each unit is a separate 1 x 1 matrix.
    """

    def initialize(tensor: Tensor) -> object:
        if tensor.dim() >= 2:
            return initializer(tensor)
        for unit in tensor.detach().view(-1, 1, 1):
            initializer(unit)
        return tensor

    return initialize
