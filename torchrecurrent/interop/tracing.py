"""Support for torch's older tracers.

Under :func:`torch.fx.symbolic_trace` a cell or layer is one node, like the modules of torch.nn;
:func:`torch.jit.script` is refused.
"""

from __future__ import annotations

from typing import Any, NoReturn, TypeGuard

from torch import nn
from torch.fx import Proxy

__all__ = ["as_leaf", "is_symbolic", "refuse_scripting"]


def is_symbolic(input: object) -> TypeGuard[Proxy]:
    """Whether the input is a symbol of :mod:`torch.fx`."""
    return isinstance(input, Proxy)


def as_leaf(module: nn.Module, input: Proxy, *args: Any, **kwargs: Any) -> Proxy:
    """Return the result of a module on a symbol as a call of that module.

    Raises:
        TypeError: if the module itself is being traced, so that no module contains it.
    """
    tracer: Any = input.tracer
    path = tracer.path_of_module(module)
    if not path:
        name = type(module).__name__
        raise TypeError(
            f"torch.fx.symbolic_trace can't trace {name} itself, whose loop depends on the length "
            f"of its input; trace a module that contains it, where it stays a call of {name}, or "
            "use torch.export.export"
        )
    return tracer.create_proxy("call_module", path, (input, *args), kwargs)  # type: ignore[no-any-return]


def refuse_scripting(module: nn.Module) -> NoReturn:
    """Raise RuntimeError: the contents of a step are only known at run time."""
    raise RuntimeError(
        f"{type(module).__name__} can't be scripted; use torch.jit.trace for a fixed length, or "
        "torch.export.export"
    )
