"""Initialisers: names or callables, applied to one block at a time.

The gates of a cell are stacked in one parameter. An initialiser whose scale
depends on the shape (Xavier, orthogonal) is meant for a single gate's matrix, so it is
called once per block and never with the stack.

Those with parameters, such as ``chrono(100)``, are made by a function; two that were made alike
are equal, can be pickled, and print as they were written.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from .gates import chrono, power_law, uniform_gates_
from .recurrences import contract_, henaff_, hippo, paces, phase, reservoir, ring, softplus_ring
from .scaled import (
    by_unit,
    gain,
    hidden_uniform_,
    hidden_uniform_columns_,
    inverse_normal_,
    kaiming_uniform_8_,
    normal,
    orthogonal_,
    softplus_uniform,
    uniform,
    variance_scaling,
    xavier_vector_,
)

__all__ = [
    "INITIALIZERS",
    "Initializer",
    "chrono",
    "contract_",
    "gain",
    "henaff_",
    "hidden_uniform_",
    "hidden_uniform_columns_",
    "hippo",
    "inverse_normal_",
    "kaiming_uniform_8_",
    "normal",
    "paces",
    "phase",
    "power_law",
    "reservoir",
    "resolve_initializer",
    "ring",
    "softplus_ring",
    "softplus_uniform",
    "uniform",
    "uniform_gates_",
    "variance_scaling",
    "xavier_vector_",
]

#: A name from :data:`INITIALIZERS`, or a function that fills a tensor in place.
Initializer = str | Callable[[Tensor], object]

#: The initialisers by name; a trailing underscore is optional.
INITIALIZERS: dict[str, Callable[[Tensor], object]] = {
    "zeros": nn.init.zeros_,
    "ones": nn.init.ones_,
    "normal": nn.init.normal_,
    "uniform": nn.init.uniform_,
    "xavier_uniform": by_unit(nn.init.xavier_uniform_),
    "xavier_normal": by_unit(nn.init.xavier_normal_),
    "kaiming_uniform": by_unit(nn.init.kaiming_uniform_),
    "kaiming_normal": by_unit(nn.init.kaiming_normal_),
    "orthogonal": by_unit(orthogonal_),
    "eye": by_unit(nn.init.eye_),
    "lecun_normal": variance_scaling(1.0, "normal"),
    "lecun_uniform": variance_scaling(1.0, "uniform"),
    "hidden_uniform": hidden_uniform_,
    "hidden_uniform_columns": hidden_uniform_columns_,
}


def resolve_initializer(name: str, value: Initializer) -> Callable[[Tensor], object]:
    """Return the function that an option's value stands for.

    Args:
        name: the option, for the error message.
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
