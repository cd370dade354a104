"""How a module from outside takes its states, and how it returns them.

There is no convention: an LSTM's ``(h, c)`` is one argument here and two there, one state is a
tensor or a list, a module makes its first state or has to be given one, and of two tensors that it
returns the first is a state or only the output. So a module is called once for each manner, on
tensors that have shapes but no numbers, until one of them works.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from ..ir.trace import UntraceableError
from ..modules.capture import tried
from .torch_private import interception

__all__ = ["Calling", "calling"]

_States = Sequence[Tensor]

#: The manners in which states are arguments after the input; of those that work the first is taken.
_ARGUMENTS: dict[str, Callable[[_States], tuple[Any, ...]]] = {
    "a tensor or a tuple": lambda states: (states[0] if len(states) == 1 else tuple(states),),
    "a tuple": lambda states: (tuple(states),),
    "a list": lambda states: (list(states),),
    "one by one": tuple,
}
#: The number of sequences in a trial, which no module takes for a number of states.
_ROWS = 11


@dataclass(frozen=True)
class Calling:
    """The form of a module's calls.

    Attributes:
        passed: how it takes its states, a key of the manners above.
        output_apart: whether the first of the tensors that it returns is no state.
        widths: of the zeros that it has to be given at first; ``None``: it makes its own state.
    """

    passed: str = "a tensor or a tuple"
    output_apart: bool = False
    widths: tuple[int, ...] | None = None

    def call(self, module: Callable[..., Any], input: Tensor, states: _States | None) -> Any:
        """Return what the module returns."""
        return module(input, *((None,) if states is None else _ARGUMENTS[self.passed](states)))

    def read(self, result: Any) -> tuple[Tensor, tuple[Tensor, ...]] | None:
        """Return the output and the states of what a module returned; ``None`` if it has none."""
        if isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], tuple | list):
            output, states = result
        else:
            states = result if isinstance(result, tuple | list) else (result,)
            output = states[0] if states else None
            states = states[self.output_apart :]
        tensors = (output, *states)
        if not states or not all(isinstance(each, Tensor) for each in tensors):
            return None
        return output, tuple(states)


_known: WeakKeyDictionary[nn.Module, dict[int | None, Calling]] = WeakKeyDictionary()


def calling(module: nn.Module, like: Tensor, states: _States | None, width: int) -> Calling:
    """Return the form of a module's calls.

    Args:
        module: the module.
        like: has the width and the dtype of its input.
        states: those that it will be given, each with a row for each sequence; ``None``: none.
        width: of the states that it is given where it can't be called without.
    """
    if torch.compiler.is_compiling() or interception():
        return Calling()
    count = None if states is None else len(states)
    known = _known.setdefault(module, {})
    if count not in known:
        trial = _Trial(module, (_ROWS, like.size(-1)), like.dtype)
        if states is None:
            found = trial.without_states(width)
        else:
            found = trial.with_states([(_ROWS, *each.shape[1:]) for each in states])
        if found is None:
            return Calling()  # whatever is wrong, the module itself says so
        known[count] = found
    return known[count]


@dataclass(frozen=True)
class _Trial:
    module: nn.Module
    input: tuple[int, ...]
    dtype: torch.dtype

    def without_states(self, width: int) -> Calling | None:
        """The form of a module that is called without states at first."""
        try:
            made = self._call(Calling(), None)
        except UntraceableError:
            return Calling()
        except Exception:  # whatever a module does without a state
            return next(self._begun(width), None)
        plain = Calling().read(made)
        if plain is None:
            return None
        shapes = [tuple(each.shape) for each in plain[1]]
        return self.with_states(shapes) or (self.with_states(shapes[1:]) if shapes[1:] else None)

    def _begun(self, width: int) -> Iterator[Calling]:
        for count in (1, 2):
            found = self.with_states([(_ROWS, width)] * count)
            if found is not None:
                yield replace(found, widths=(width,) * count)

    def with_states(self, shapes: Sequence[tuple[int, ...]]) -> Calling | None:
        """The form of a module that is given states of such shapes, and returns as many."""
        for passed in _ARGUMENTS:
            try:
                made = self._call(Calling(passed), shapes)
            except UntraceableError:
                return Calling(passed)
            except Exception:  # whatever a module does with another argument
                continue
            for form in (Calling(passed), Calling(passed, output_apart=True)):
                found = form.read(made)
                if found is not None and len(found[1]) == len(shapes):
                    return form
        return None

    def _call(self, form: Calling, shapes: Sequence[tuple[int, ...]] | None) -> Any:
        def run(input: Tensor, *states: Tensor) -> Any:
            return form.call(self.module, input, None if shapes is None else states)

        return tried(self.module, run, self.dtype, [self.input, *(shapes or ())])
