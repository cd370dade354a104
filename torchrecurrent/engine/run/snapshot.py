"""Whether a module is still as it was: its attributes, its methods, and nobody hooks its call.

A call that is remembered skips what would have noticed a change. So all that a change could be
made to is compared here, by identity: an attribute of the instance that hides a method or a
parameter, an option, the mode, a class that was exchanged or changed, hooks of the module and of
all modules.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter, is_, itemgetter
from weakref import ref

from torch import nn

from .torch_private import HOOKS, hooks_of_all_modules

__all__ = ["Snapshot"]

_hooks_of = itemgetter(*HOOKS)
_GLOBAL_HOOKS = hooks_of_all_modules()
#: What decides what a call of a module does, apart from its own methods.
_CALL = ("__call__", "__getattr__", "_call_impl", "_compiled_call_impl", "forward")


class Snapshot:
    """What a module was when it was called.

    Of what it holds only the attributes that are named are kept; all else, its modules, parameters
    and hooks, might refer to the module itself.

    Args:
        module: the module.
        attributes: those of the instance that its call depends on.
        methods: those of its class.
    """

    def __init__(
        self, module: nn.Module, attributes: Sequence[str], methods: Sequence[str]
    ) -> None:
        own, self._kind = module.__dict__, type(module)
        self._names = list(own)
        present = [name for name in attributes if name in own]  # else a class has it
        self._chosen = itemgetter("training", *present, "training")  # always several
        self._values = self._chosen(own)
        self._methods = attrgetter(*_CALL, *methods)
        self._functions = self._methods(self._kind)
        self._modules = [ref(each) for each in own["_modules"].values() if each is not None]
        #: Whether the methods are those of the class.
        self.plain = own.keys().isdisjoint((*_CALL, *methods))

    def holds(self, module: nn.Module) -> bool:
        """Whether all of it is the same, and there are no hooks."""
        own, kind, modules = module.__dict__, self._kind, self._modules
        present = [each for each in own["_modules"].values() if each is not None]
        return (
            type(module) is kind
            and list(own) == self._names
            and all(map(is_, self._chosen(own), self._values))
            and self._methods(kind) == self._functions
            and not any(_hooks_of(own))
            and not any(_GLOBAL_HOOKS)
            and len(present) == len(modules)
            and all(found() is each for found, each in zip(modules, present, strict=True))
        )
