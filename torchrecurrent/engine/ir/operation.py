"""What there is to say of an operation: the type of a row of :data:`.operations.OPERATIONS`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

__all__ = ["Gradient", "Latex", "Operation"]

#: From the gradient of a result, the result and the arguments to the gradient of each argument;
#: None instead of one passes nothing. A function of one argument returns no tuple.
Gradient = Callable[..., Any]
#: From the terms that are the arguments to what is printed. A term's format ``{x:2}`` puts
#: brackets around it where it binds less tightly than a product, which is 2.
Latex = Callable[..., str]


@dataclass(frozen=True)
class Operation:
    """An elementwise function of torch.

    Either it is a node of a graph, and has a gradient and a text; or it is made of others.

    Attributes:
        name: torch's, of a function or a method, and in a graph that of a node.
        aliases: further names that torch has for it.
        takes: the arguments of a node, by torch's names.
        means: what it is made of: a function with the parameters and defaults of torch's. Where
            it returns None, the call is a node after all.
        gradient: left out, nothing is passed.
        c: the text of a node, with its arguments as ``{0}`` and ``{1}``; left out, a call of the
            function ``tr_name`` in :file:`math.h`.
        triton: the same, with :file:`gpu/math.py`; left out, as in C.
        latex: what is printed before the arguments in brackets, or a function of them.
        binds: how tightly what is printed binds. 0: a comparison, 1: a sum, 2: a product, 3: what
            needs no brackets.
        cheap: to compute it again costs less than to read it from memory.
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
        """The value of each parameter in a call.

        Args:
            args: by position.
            kwargs: by name.
            method: the first of ``args`` is the object whose method is called.

        Raises:
            TypeError: torch's function is not called so, or no rule covers such a call.
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
        """The C, or the Triton, of a node whose arguments have names."""
        call = f"tr_{self.name}({', '.join(args)})"
        template = (self.triton if triton else "") or self.c
        return template.format(*args) if template else call
