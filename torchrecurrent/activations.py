"""Elementwise functions that an option may name."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["ACTIVATIONS", "Activation", "resolve_activation"]

#: A name from :data:`ACTIVATIONS`, or any elementwise function of a tensor.
Activation = str | Callable[[Tensor], Tensor]


def identity(input: Tensor) -> Tensor:
    """Return the input."""
    return input


#: The activations by name.
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": identity,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "softplus": functional.softplus,
    "hard_sigmoid": functional.hardsigmoid,
    "hardsigmoid": functional.hardsigmoid,
    "gelu": functional.gelu,
    "silu": functional.silu,
    "elu": functional.elu,
    "leaky_relu": functional.leaky_relu,
}


def resolve_activation(name: str, value: Activation) -> Callable[[Tensor], Tensor]:
    """Return the function that an option's value stands for.

    Args:
        name: the option, for the error message.
        value: a name from :data:`ACTIVATIONS` or a callable.

    Raises:
        ValueError: an unknown name.
        TypeError: neither a name nor a callable.
    """
    if isinstance(value, str):
        if value not in ACTIVATIONS:
            raise ValueError(
                f"{name}: unknown activation {value!r}; expected a callable or one of "
                f"{', '.join(sorted(ACTIVATIONS))}"
            )
        return ACTIVATIONS[value]
    if not callable(value):
        raise TypeError(
            f"{name} should be an activation's name or a callable, got: {type(value).__name__}"
        )
    return value
