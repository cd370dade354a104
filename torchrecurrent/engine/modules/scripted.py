"""What the code of a ScriptModule may read: attributes that torch.jit keeps, unseen by Python."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ..ir.trace import UntraceableError

__all__ = ["attributes_of", "is_scripted", "restore"]


def is_scripted(module: nn.Module) -> bool:
    """Whether torch.jit has compiled a module's code."""
    return isinstance(module, torch.jit.ScriptModule)


def attributes_of(module: Any) -> dict[str, Any]:
    """Return the attributes of a ScriptModule by name; lists and dictionaries are copies.

    Its parameters, buffers and constants, which its code has in itself, are not among them.

    Raises:
        UntraceableError: this version of torch doesn't tell them.
    """
    try:
        names = module._concrete_type.get_attributes()
        tensors = {*module._parameters.keys(), *module._buffers.keys()}
        return {name: module._c.getattr(name) for name in names if name not in tensors}
    except (AttributeError, RuntimeError) as error:
        raise UntraceableError(
            "it is a ScriptModule, whose attributes this version of torch doesn't tell"
        ) from error


def restore(module: Any, name: str, value: Any) -> None:
    """Give an attribute the value that it had."""
    module._c.setattr(name, value)
