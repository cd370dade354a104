"""All of a module that what its ``forward`` computes may depend on, besides its tensors' values.

A trace keeps the numbers that it met. So a module is traced anew when one of them changes, and
refused where one could change unseen.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from functools import partial
from types import BuiltinFunctionType, FunctionType
from typing import Any

import torch
from torch import Tensor, nn

from ..ir.trace import UntraceableError
from ..program.outside import Outside
from .scripted import attributes_of, is_scripted

__all__ = ["fingerprint", "outside_of"]

_VALUES = (int, float, complex, str, bytes, type(None), torch.dtype, torch.device, enum.Enum)
_KEPT = (*_VALUES, tuple, list, dict)
_FUNCTIONS = (FunctionType, BuiltinFunctionType, type, partial, torch.jit.ScriptFunction)
#: Attributes of every module; those that a trace depends on are asked for by name.
_OF_ALL = frozenset(vars(nn.Module()))
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_GLOBAL_HOOKS = tuple(f"_global{name}" for name in _HOOKS)


def fingerprint(module: nn.Module) -> tuple[object, ...]:
    """Return what a trace depends on, to be compared; two equal ones mean the same trace.

    Raises:
        UntraceableError: for a hook, or an attribute that may change unseen.
    """
    for name in _GLOBAL_HOOKS:
        if getattr(nn.modules.module, name, None):
            raise UntraceableError("hooks are registered for all modules")
    return tuple(
        part for path, each in module.named_modules() for part in _of_one(path, each)
    )  # fmt: skip


def _of_one(path: str, module: nn.Module) -> Iterator[object]:
    own = vars(module)
    for name in _HOOKS:
        if own.get(name):
            where = f" of {path!r}" if path else ""
            raise UntraceableError(f"hooks{where} would not see the steps of a kernel")
    yield type(module)
    yield module.training
    for name, tensor in (*module._parameters.items(), *module._buffers.items()):
        yield name
        yield None if tensor is None else (tensor.shape, tensor.dtype)
    if is_scripted(module):
        own = attributes_of(module)
        names = set(own)
    else:
        names = own.keys() - _OF_ALL if len(own) > len(_OF_ALL) else set()
        yield from _class_values(path, type(module))
    for name in names:
        yield name
        yield _value(f"{path}.{name}" if path else name, own[name])


def _class_values(path: str, kind: type) -> Iterator[object]:
    """The numbers among the attributes of a class, which ``self`` has too."""
    for base in kind.__mro__:
        if _is_of_torch(base):
            return
        for name, value in vars(base).items():
            if type(value) is FunctionType or name[:2] == "__":
                continue
            if isinstance(value, _KEPT):
                yield name
                yield _value(f"{path}.{name}" if path else name, value)


def _value(name: str, value: Any) -> object:
    if isinstance(value, float):
        return float, repr(value)  # -0.0 is not 0.0
    if isinstance(value, _VALUES):
        return type(value), value
    if isinstance(value, list | tuple):
        return type(value), tuple(_value(name, each) for each in value)
    if isinstance(value, dict):
        return tuple((key, _value(name, each)) for key, each in value.items())
    if isinstance(value, set | frozenset):
        return frozenset(_value(name, each) for each in value)
    if isinstance(value, _FUNCTIONS):
        return value
    if isinstance(value, Tensor):
        raise UntraceableError(
            f"its attribute {name!r} is a Tensor that is no parameter and no buffer; "
            "register_buffer makes it one"
        )
    raise UntraceableError(
        f"its attribute {name!r} ({type(value).__name__}) may change unseen by a kernel"
    )


def outside_of(module: nn.Module) -> Outside:
    """Return what the code of a module's ``forward`` reads besides the module."""
    functions: dict[str, object] = {}
    for each in module.modules():
        if is_scripted(each):
            continue  # what it was compiled from is of no effect any more
        functions |= _functions(type(each))
        functions |= {
            name: value for name, value in vars(each).items() if isinstance(value, _FUNCTIONS)
        }
    return Outside(functions, "its forward", "")


def _functions(kind: type) -> dict[str, object]:
    """The functions of a class that its ``forward`` may come to call, by name."""
    bases = [base for base in kind.__mro__ if not _is_of_torch(base)]
    found: dict[str, object] = {}
    names = ["forward", "__call__", "__getattr__"]
    for name in names:  # it grows meanwhile
        for base in bases:
            value = vars(base).get(name)
            function = getattr(value, "__func__", getattr(value, "fget", value))
            if isinstance(function, FunctionType):
                found[f"{base.__qualname__}.{name}"] = function
                names += [each for each in function.__code__.co_names if each not in names]
    return found


def _is_of_torch(kind: type) -> bool:
    return kind.__module__.partition(".")[0] in ("torch", "builtins")
