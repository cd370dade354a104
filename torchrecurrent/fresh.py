"""Reinitialises a module of any kind, or a copy of it."""

from __future__ import annotations

import copy

from torch import nn

__all__ = ["fresh_copy", "reset"]


def fresh_copy(module: nn.Module) -> nn.Module:
    """Return a copy of ``module`` with its own, newly initialised parameters.

    Raises:
        TypeError: if it has parameters that can't be reinitialised.
    """
    twin = copy.deepcopy(module)
    reset(twin)
    return twin


def reset(module: nn.Module) -> None:
    """Reinitialise every parameter by the ``reset_parameters`` of the module or its parts.

    Raises:
        TypeError: if a part has parameters and no such method.
    """
    own = getattr(module, "reset_parameters", None)
    if own is not None:
        own()
        return
    if any(True for _ in module.parameters(recurse=False)):
        raise TypeError(
            f"{type(module).__name__} can't be initialised anew: it has parameters of its own, "
            "and no method reset_parameters()"
        )
    for part in module.children():
        reset(part)
