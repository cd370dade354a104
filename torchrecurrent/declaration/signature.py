"""Reads a cell's ``step``: the role of each argument, and the results."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from .. import roles
from ..complex_numbers import Complex
from ..roles import Role, Weight
from .annotations import hints_of

__all__ = ["Argument", "StepSignature"]


@dataclass(frozen=True)
class Argument:
    """One argument of a step."""

    name: str
    role: Role


@dataclass(frozen=True)
class StepSignature:
    """The arguments of a step, in order, and whether it returns a separate output."""

    arguments: tuple[Argument, ...]
    has_output: bool
    #: The step's own arguments: a complex number is one, not two.
    written: tuple[Argument, ...]
    #: The states, a delay line last; the names of the numbers that are options of the instance.
    states: tuple[Argument, ...] = field(init=False)
    state_names: tuple[str, ...] = field(init=False)
    constants: tuple[str, ...] = field(init=False)
    has_delay: bool = field(init=False)
    #: The option that a call may replace by the time since the step before.
    gap: str | None = field(init=False)
    #: What it returns, in words.
    results: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:  # once: they are needed at every call
        delayed = tuple(self.having(roles.DelayedRole))
        names = [name for each in self.arguments for name in each.role.constants(each.name)]
        object.__setattr__(self, "states", (*self.having(roles.StateRole), *delayed))
        object.__setattr__(self, "state_names", tuple(each.name for each in self.states))
        object.__setattr__(self, "constants", tuple(dict.fromkeys(names)))
        object.__setattr__(self, "has_delay", bool(delayed))
        gaps = [argument.name for argument in self.having(roles.GapRole)]
        object.__setattr__(self, "gap", gaps[0] if gaps else None)
        new = [f"the new state {argument.name!r}" for argument in self.having(roles.StateRole)]
        object.__setattr__(self, "results", ("the output",) * self.has_output + tuple(new))

    @property
    def sees_part(self) -> bool:
        """Whether products see a part of the input alone."""
        found = (each.role for each in self.arguments)
        return any(isinstance(r, roles.ProductRole) and r.columns != "input_size" for r in found)

    @classmethod
    def of(cls, owner: str, step: Callable[..., Any]) -> StepSignature:
        """Read the annotations of ``step``; ``owner`` names the cell in errors.

        Raises:
            TypeError: for an argument without a role, no state, or a return annotation
                that does not match the states.
        """
        hints = hints_of(step)
        written = []
        for name in inspect.signature(step).parameters:
            role = _role(hints.get(name))
            if role is None:
                known = [each for each in roles.__all__ if _role(getattr(roles, each))]
                raise TypeError(
                    f"{owner}.step: argument {name!r} has no role; annotate it with one of "
                    f"{', '.join(known)} from torchrecurrent.roles"
                )
            written.append(Argument(name, role))
        returned = _returned(hints.get("return"))
        signature = cls(
            tuple(Argument(*part) for each in written for part in each.role.parts(each.name)),
            bool(returned) and isinstance(_role(returned[0]), roles.OutputRole),
            tuple(written),
        )
        signature._check(owner, len(returned) + returned.count(Complex))
        return signature

    def _check(self, owner: str, returned: int) -> None:
        states = [argument.name for argument in self.having(roles.StateRole)]
        if not states:
            raise TypeError(f"{owner}.step: expected at least one argument annotated State")
        for name, role in (("Delayed", roles.DelayedRole), ("Gap", roles.GapRole)):
            if len(list(self.having(role))) > 1:
                raise TypeError(f"{owner}.step: expected at most one argument annotated {name}")
        expected = len(states) + self.has_output
        if returned != expected:
            raise TypeError(
                f"{owner}.step: expected a return annotation of {expected} tensor(s), "
                f"one for each of the states ({', '.join(states)})"
                f"{' after the output' if self.has_output else ''}, got {returned}"
            )
        sources = states + [argument.name for argument in self.having(roles.DelayedRole)]
        for argument in self.having(roles.ProductRole):
            of = argument.role.of  # type: ignore[attr-defined]
            if of is not None and of not in sources:
                raise TypeError(
                    f"{owner}.step: argument {argument.name!r} is a product with {of!r}; "
                    f"expected one of the states ({', '.join(sources)})"
                )

    def call(self, step: Callable[..., Any], values: Iterable[Any]) -> Any:
        """Call ``step`` with a value for each of ``arguments``; a complex result becomes two."""
        given = iter(values)
        result = step(*(argument.role.whole(given) for argument in self.written))
        if isinstance(result, tuple):
            return tuple(part for value in result for part in _parts(value))
        parts = _parts(result)
        return parts if len(parts) > 1 else result

    def having(self, role: type[Role]) -> Iterator[Argument]:
        """The arguments of one role, in order."""
        return (argument for argument in self.arguments if isinstance(argument.role, role))

    def stacked(self) -> dict[Weight, list[str]]:
        """The names of the rows of each stacked parameter."""
        stacks: dict[Weight, list[str]] = {}
        for argument in self.arguments:
            for weight in argument.role.weights:
                stacks.setdefault(weight, []).extend(argument.role.names(argument.name))
        return stacks


def _parts(value: Any) -> tuple[Any, ...]:
    return (value.real, value.imag) if isinstance(value, Complex) else (value,)


def _role(hint: Any) -> Role | None:
    for extra in getattr(hint, "__metadata__", ()):
        if isinstance(extra, Role):
            return extra
    return None


def _returned(hint: Any) -> tuple[Any, ...]:
    if typing.get_origin(hint) is tuple:
        return typing.get_args(hint)
    return () if hint is None or hint is type(None) else (hint,)
