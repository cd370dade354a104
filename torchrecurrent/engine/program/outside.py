"""Finds what a step reads besides its arguments: globals, closures, those of functions it calls.

The reference reads them at every step; a kernel keeps the values from its trace. So a plan depends
on them: on numbers by their values, on functions and modules by their identity. An object that
may change and stay the same object, such as a dictionary, is refused.
"""

from __future__ import annotations

import dis
from collections.abc import Iterator, Mapping
from functools import cached_property, partial
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType

import torch

__all__ = ["Outside"]

#: Types whose values are fully known to a kernel.
_VALUES = (int, float, complex, str, bytes, type(None), type(...), torch.dtype)
#: Modules whose functions return the same for the same arguments, or take tensors only.
_STEADY = {"torch", "builtins", "math", "cmath", "operator", "functools", "itertools", "typing"}
_STEADY |= {"abc", "collections", "dataclasses"}
#: Attributes that no step uses; in dataclasses and named tuples some are sets and dictionaries.
_UNUSED = ("__repr__", "__str__", "_field_defaults")
#: Builtin functions that reach values without naming them.
_REACHING = {"__import__", "eval", "exec", "globals", "input", "open", "vars"}
_ABSENT = object()

_ROOTS = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
_FREE = ("LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF")
_ATTRIBUTES = ("LOAD_ATTR", "LOAD_METHOD")


class Outside:
    """All that some functions read from outside, with its present values.

    Args:
        functions: the functions by name.
        subject: what they are, in a refusal.
        remedy: what to do instead.

    Attributes:
        values: numbers and other constants with their names, in a fixed order.
        objects: everything else, compared by identity.
        refusal: why a kernel can't know whether something has changed; empty if it can.
    """

    def __init__(
        self,
        functions: Mapping[str, object],
        subject: str = "its step",
        remedy: str = "; a number comes in as an option and an argument annotated Constant",
    ) -> None:
        self.values: list[tuple[str, object]] = []
        self.objects: list[object] = []
        self.refusal = ""
        self._subject, self._remedy = subject, remedy
        self._entries: list[tuple[dict[str, object], str, object]] = []
        self._attributes: list[tuple[object, str, object]] = []
        self._seen: set[int] = set()
        for label, function in functions.items():
            self._take(label, function)

    def unchanged(self) -> bool:
        """Whether none of it has changed."""
        for namespace, name, was in self._entries:
            now = namespace.get(name, _ABSENT)
            if now is not was and not _same(now, was):
                return False
        for owner, name, was in self._attributes:
            now = getattr(owner, name, _ABSENT)
            if now is not was and not _same(now, was):
                return False
        return True

    def _refuse(self, what: str) -> None:
        self.refusal = self.refusal or (
            f"{self._subject} reads {what} from outside, which may change unseen by a kernel"
            f"{self._remedy}"
        )

    def _take(self, label: str, value: object) -> None:
        """Record a value that is computed with, called or passed on."""
        if value is None:
            return
        if isinstance(value, _VALUES):
            self.values.append((label, value))
        elif type(value) is tuple:
            for item in value:
                self._take(label, item)
        elif id(value) not in self._seen and not _is_steady(value):
            self._seen.add(id(value))
            self.objects.append(value)
            if isinstance(value, FunctionType):
                self._function(value)
            elif isinstance(value, partial):
                self._take(label, (value.func, value.args, tuple(value.keywords.items())))
            elif isinstance(value, type):
                self._class(label, value)
            elif isinstance(value, torch.nn.Module) and _is_steady(type(value)):
                self._module(label, value)
            elif isinstance(value, torch.jit.ScriptFunction):
                pass  # what it reads was compiled into it
            else:
                self._refuse(f"{label!r} ({type(value).__name__})")

    def _function(self, function: FunctionType) -> None:
        """Record what the code of a function reads, and its defaults."""
        self.objects.append(self._attribute(function, "__code__"))
        if function.__defaults__:
            label = f"a default of {function.__name__}"
            self._take(label, self._attribute(function, "__defaults__"))
        defaults: dict[str, object] = function.__kwdefaults__ or {}
        for name, value in sorted(defaults.items()):
            self._take(f"the default {name} of {function.__name__}", value)
            self._entries.append((defaults, name, value))
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        for name, attributes in sorted(set(_reads(function.__code__))):
            if name in cells:
                value = self._attribute(cells[name], "cell_contents")
            else:
                value = function.__globals__.get(name, _ABSENT)
                self._entries.append((function.__globals__, name, value))
            if value is not _ABSENT:
                self._follow(name, value, attributes)
            elif name in _REACHING or name.startswith("import "):
                self._refuse(repr(name))

    def _follow(self, label: str, value: object, attributes: tuple[str, ...]) -> None:
        """Record the value of a chain of attributes such as ``config.rates.alpha``."""
        for name in attributes:
            if isinstance(value, _VALUES) or _is_steady(value) or _holds_values(value):
                break
            label = f"{label}.{name}"
            value = self._attribute(value, name)
        self._take(label, value)

    def _attribute(self, owner: object, name: str) -> object:
        value = getattr(owner, name, _ABSENT)
        self._attributes.append((owner, name, value))
        return value

    def _class(self, label: str, kind: type) -> None:
        """Record what the methods of a class read, and the class's own values."""
        for base in (each for each in kind.__mro__ if not _is_steady(each)):
            for name, value in sorted(vars(base).items()):
                if isinstance(value, staticmethod | classmethod):
                    value = value.__func__
                elif isinstance(value, property | cached_property):
                    value = value.fget if isinstance(value, property) else value.func
                if isinstance(value, FunctionType) and name not in _UNUSED:
                    self._take(f"{label}.{name}", value)
                elif not (name in _UNUSED or name.startswith("__") or _is_slot(value)):
                    self._take(f"{label}.{name}", self._attribute(base, name))

    def _module(self, label: str, module: torch.nn.Module) -> None:
        """Record the settings of an activation of torch such as ``torch.nn.LeakyReLU(0.1)``."""
        for name in sorted(vars(module)):
            if not name.startswith("_") and name != "training":
                self._take(f"{label}.{name}", self._attribute(module, name))
        for child in module.children():
            self._take(label, child)


def _reads(code: CodeType) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the outside names that code and its inner functions read, with their attributes."""
    chain: tuple[str, ...] = ()
    for instruction in dis.get_instructions(code):
        name = instruction.argval
        if instruction.opname == "EXTENDED_ARG":
            continue
        if chain and instruction.opname in _ATTRIBUTES:
            chain = (*chain, name)
            continue
        if chain:
            yield chain[0], chain[1:]
        chain = (name,) if _is_outer(instruction, code) else ()
        if instruction.opname == "IMPORT_NAME" and not _is_of(name):
            yield f"import {name}", ()
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            own = (*code.co_varnames, *code.co_cellvars)
            yield from (read for read in _reads(constant) if read[0] not in own)


def _is_outer(instruction: dis.Instruction, code: CodeType) -> bool:
    if instruction.opname in _FREE:
        return instruction.argval in code.co_freevars
    return instruction.opname in _ROOTS


def _is_steady(value: object) -> bool:
    """Whether a function, class or module belongs to a module of pure functions."""
    if isinstance(value, ModuleType):
        return _is_of(value.__name__)
    if isinstance(value, BuiltinFunctionType):  # a method of an object reads that
        return value.__self__ is None or isinstance(value.__self__, ModuleType | type)
    if isinstance(value, FunctionType | type):
        return _is_of(value.__module__ or "")
    return False


def _is_of(module: str) -> bool:
    """Whether a module is one of those listed as steady, or its part written in C."""
    return module.partition(".")[0].removeprefix("_") in _STEADY


def _is_slot(value: object) -> bool:
    """Whether an attribute of a class is Python's descriptor of an instance attribute."""
    return hasattr(type(value), "__get__") and _is_steady(type(value))


def _holds_values(value: object) -> bool:
    """Whether a value has contents besides its attributes."""
    return isinstance(value, torch.Tensor | torch.nn.Module | dict | list | set | tuple)


def _same(now: object, was: object) -> bool:
    """Whether two objects have the same value."""
    return type(now) is type(was) and isinstance(now, _VALUES) and now == was
