"""Initialises a module of any kind anew, or a copy of it."""

from __future__ import annotations

import copy

from torch import nn

__all__ = ["fresh_copy", "reset"]


def fresh_copy(module: nn.Module) -> nn.Module:
    """A copy of ``module`` with parameters of its own, initialised anew.

    Raises:
        TypeError: it has parameters that can't be initialised anew.
    """
    twin = copy.deepcopy(module)
    reset(twin)
    return twin


def reset(module: nn.Module) -> None:
    """Initialise every parameter anew, by the module's ``reset_parameters`` or its parts'.

    Raises:
        TypeError: a part has parameters and no such method.
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
