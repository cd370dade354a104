"""Initialisers: by name or any callable, applied to one block at a time.

The gates of a cell lie stacked in one parameter. An initialiser whose scale
depends on the shape (Xavier, orthogonal) means a gate's own matrix, so it is
called once a block and never sees the stack.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

__all__ = [
    "INITIALIZERS",
    "Initializer",
    "chrono",
    "hidden_uniform_",
    "kaiming_uniform_8_",
    "reservoir",
    "resolve_initializer",
    "ring",
]

#: A name from :data:`INITIALIZERS`, or a function that fills a tensor in place.
Initializer = str | Callable[[Tensor], object]


def hidden_uniform_(tensor: Tensor) -> Tensor:
    r"""Fill with :math:`U(-1/\sqrt H, 1/\sqrt H)`, as :class:`torch.nn.LSTM` does.

    Args:
        tensor: a block of shape ``(H, *)``; H is its number of rows.
    """
    bound = 1 / math.sqrt(tensor.size(0)) if tensor.size(0) else 0.0
    return nn.init.uniform_(tensor, -bound, bound)


def hidden_uniform_columns_(tensor: Tensor) -> Tensor:
    r"""As :func:`hidden_uniform_`, for a block of shape ``(*, H)``."""
    bound = 1 / math.sqrt(tensor.size(-1))
    return nn.init.uniform_(tensor, -bound, bound)


def orthogonal_(tensor: Tensor) -> Tensor:
    """:func:`torch.nn.init.orthogonal_`, in float32 where torch can't do it in half precision."""
    if tensor.dtype in (torch.float16, torch.bfloat16):
        return tensor.copy_(nn.init.orthogonal_(tensor.float()))
    return nn.init.orthogonal_(tensor)


def kaiming_uniform_8_(tensor: Tensor) -> Tensor:
    r"""Fill a block ``(H, I)`` with :math:`U(\pm\sqrt{6 / (65 I)})`, Kaiming's at a slope of 8."""
    return nn.init.kaiming_uniform_(tensor, a=8)


def chrono(steps: float) -> Callable[[Tensor], Tensor]:
    r"""An initialiser for the bias of a forget gate [tallec2018can]_.

    It fills with :math:`\log u`, where :math:`u \sim U(1, T - 1)`. Without input a unit then
    forgets over about u + 1 steps, so that the units' time scales are spread evenly from 2
    to T.

    Args:
        steps: the longest dependency T that is expected, in time steps.

    Raises:
        ValueError: fewer than 2 steps.
    """
    if not steps >= 2:
        raise ValueError(f"chrono: steps should be at least 2, got {steps}")
    return partial(_log_uniform_, high=float(steps) - 1)


def _log_uniform_(tensor: Tensor, high: float) -> Tensor:
    return nn.init.uniform_(tensor, 1.0, high).log_()


def ring(r_min: float = 0.0, r_max: float = 1.0) -> Callable[[Tensor], Tensor]:
    r"""An initialiser for the decay of a linear recurrence [orvieto2023resurrecting]_.

    It fills with :math:`\log(-\log r)`, where r is the modulus of a number drawn evenly from the
    ring of the complex plane between the two radii. A unit keeps r of its state at each step.

    Args:
        r_min: the inner radius.
        r_max: the outer one; the closer to 1, the longer the memory.

    Raises:
        ValueError: not ``0 <= r_min < r_max <= 1``.
    """
    if not 0 <= r_min < r_max <= 1:
        raise ValueError(f"ring: expected 0 <= r_min < r_max <= 1, got {r_min} and {r_max}")
    return partial(_ring_, low=r_min**2, high=r_max**2)


def _ring_(tensor: Tensor, low: float, high: float) -> Tensor:
    # Of r squared, which is uniform; in float64, since next to 1 half precision has no numbers.
    square = torch.empty_like(tensor, dtype=torch.float64).uniform_(low, high)
    return tensor.copy_(square.clamp_(1e-12, 1 - 1e-12).log_().mul_(-0.5).log_())


def reservoir(radius: float = 0.9, density: float = 0.1) -> Callable[[Tensor], Tensor]:
    """An initialiser for recurrent kernels that are not trained [jaeger2001echo]_.

    Of the weights, drawn from U(-1, 1), it keeps a part, and scales them to a spectral radius.
    With less than 1 what a network once saw usually fades, so that its state is an echo of the
    latest inputs.

    Args:
        radius: the largest modulus of an eigenvalue.
        density: how many of the weights are not zero, from 0 to 1.

    Raises:
        ValueError: a radius that is negative or a density that is not above 0 and at most 1;
            when called, a block that is not square.
    """
    if not radius >= 0:
        raise ValueError(f"reservoir: radius should not be negative, got {radius}")
    if not 0 < density <= 1:
        raise ValueError(f"reservoir: density should be above 0 and at most 1, got {density}")
    return partial(_reservoir_, radius=radius, density=density)


def _reservoir_(tensor: Tensor, radius: float, density: float) -> Tensor:
    if tensor.dim() != 2 or tensor.size(0) != tensor.size(1):
        shape = tuple(tensor.shape)
        raise ValueError(f"reservoir: expected a square block of a dense kernel, got {shape}")
    largest = 0.0
    while not largest:  # a small one may come out without a cycle, and so without a radius
        weights = torch.empty_like(tensor, dtype=torch.float64).uniform_(-1, 1)
        weights *= torch.rand_like(weights) < density
        largest = float(torch.linalg.eigvals(weights).abs().max())
    return tensor.copy_(weights * (radius / largest))


def _by_unit(initializer: Callable[[Tensor], object]) -> Callable[[Tensor], object]:
    """Let an initialiser that needs a matrix take a vector of recurrent weights.

    Such a vector is the diagonal of a matrix: each unit is a 1 x 1 matrix of its own.
    """

    def initialize(tensor: Tensor) -> object:
        if tensor.dim() >= 2:
            return initializer(tensor)
        for unit in tensor.detach().view(-1, 1, 1):
            initializer(unit)
        return tensor

    return initialize


#: The initialisers that have a name; a trailing underscore may be written or not.
INITIALIZERS: dict[str, Callable[[Tensor], object]] = {
    "zeros": nn.init.zeros_,
    "ones": nn.init.ones_,
    "normal": nn.init.normal_,
    "uniform": nn.init.uniform_,
    "xavier_uniform": _by_unit(nn.init.xavier_uniform_),
    "xavier_normal": _by_unit(nn.init.xavier_normal_),
    "kaiming_uniform": _by_unit(nn.init.kaiming_uniform_),
    "kaiming_normal": _by_unit(nn.init.kaiming_normal_),
    "orthogonal": _by_unit(orthogonal_),
    "eye": _by_unit(nn.init.eye_),
    "hidden_uniform": hidden_uniform_,
    "hidden_uniform_columns": hidden_uniform_columns_,
}


def resolve_initializer(name: str, value: Initializer) -> Callable[[Tensor], object]:
    """The function that an option's value stands for.

    Args:
        name: the option, for the error's text.
        value: a name from :data:`INITIALIZERS` or a callable.

    Raises:
        ValueError: an unknown name.
        TypeError: neither a name nor a callable.
    """
    if isinstance(value, str):
        key = value.removesuffix("_")
        if key not in INITIALIZERS:
            raise ValueError(
                f"{name}: unknown initializer {value!r}; expected a callable or one of "
                f"{', '.join(sorted(INITIALIZERS))}"
            )
        return INITIALIZERS[key]
    if not callable(value):
        raise TypeError(
            f"{name} should be an initializer's name or a callable, got: {type(value).__name__}"
        )
    return value
