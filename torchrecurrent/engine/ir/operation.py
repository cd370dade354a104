"""The description of an operation: the type of a row of :data:`.operations.OPERATIONS`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

__all__ = ["Gradient", "Latex", "Operation"]

#: From the gradient of a result, the result and the arguments to the gradient of each argument;
#: None in place of a gradient passes nothing. A function of one argument returns no tuple.
Gradient = Callable[..., Any]
#: From the terms of the arguments to the printed text. A term's format ``{x:2}`` puts brackets
#: around it if it binds less tightly than a product, which is 2.
Latex = Callable[..., str]


@dataclass(frozen=True)
class Operation:
    """An elementwise function of torch.

    Either it is a node of a graph, with a gradient and a text, or it is composed of others.

    Attributes:
        name: torch's name of the function or method, and the name of its node in a graph.
        aliases: further names that torch has for it.
        takes: the arguments of a node, by torch's names.
        means: its composition: a function with the parameters and defaults of torch's. Where
            it returns None, the call is a node after all.
        gradient: if omitted, no gradient is passed.
        c: the text of a node, with its arguments as ``{0}`` and ``{1}``; if omitted, a call of
            the function ``tr_name`` in :file:`math.h`.
        triton: the same, with :file:`gpu/math.py`; if omitted, as in C.
        latex: printed before the arguments in brackets, or a function of them.
        binds: how tightly the printed text binds. 0: a comparison, 1: a sum, 2: a product,
            3: needs no brackets.
        cheap: recomputing it costs less than reading it from memory.
        linear: groups of arguments; it is linear in those of one group while the rest is fixed.
        compares: its result is true or false.
        conditions: the places of the arguments that are true or false.
        receiver: the place of the argument whose method it is.
    """

    name: str
    aliases: tuple[str, ...] = ()
    takes: tuple[str, ...] = ("input",)
    means: Callable[..., Any] | None = None
    gradient: Gradient | None = None
    c: str = ""
    triton: str = ""
    latex: str | Latex = ""
    binds: int = 3
    cheap: bool = False
    linear: tuple[tuple[int, ...], ...] = ()
    compares: bool = False
    conditions: tuple[int, ...] = ()
    receiver: int = 0

    @cached_property
    def signature(self) -> inspect.Signature:
        """The parameters of torch's function."""
        if self.means is not None:
            return inspect.signature(self.means)
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        return inspect.Signature([inspect.Parameter(name, kind) for name in self.takes])

    def arguments(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], method: bool = False
    ) -> dict[str, Any]:
        """Return the value of each parameter in a call.

        Args:
            args: by position.
            kwargs: by name.
            method: the first of ``args`` is the object whose method is called.

        Raises:
            TypeError: if torch's function does not accept the call, or no rule covers it.
        """
        kwargs = dict(kwargs)
        if kwargs.pop("inplace", False):
            raise TypeError("it would change its input, as inplace=True asks")
        if method:
            first, *rest = args
            args = [*rest[: self.receiver], first, *rest[self.receiver :]]
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return bound.arguments

    def text(self, args: Sequence[str], triton: bool = False) -> str:
        """Return the C or Triton of a node, given the names of its arguments."""
        call = f"tr_{self.name}({', '.join(args)})"
        template = (self.triton if triton else "") or self.c
        return template.format(*args) if template else call
