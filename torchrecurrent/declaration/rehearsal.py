"""Runs a step once when its class is defined, on stand-ins for its arguments.

A stand-in supports the operations of a tensor and knows only what it depends on. So the results
of a step, and the arguments of its maps, are checked before there are sizes and parameters.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import Any, NoReturn

from torch import Tensor

from .. import roles
from ..across import Across
from ..complex_numbers import Complex
from ..roles.weight import Weight
from .signature import StepSignature
from .step_contract import StepError, check_mapped, returned

__all__ = ["rehearse"]


class Dependence(IntEnum):
    """The dependence of a value in a step, from the least to the most."""

    #: Numbers that are the same for all units: constants, learned scalars.
    NUMBER = 0
    #: Also learned numbers for each unit, the same at every step and for every sequence.
    UNIT = 1
    #: Also the input or a state.
    SEQUENCE = 2


class UnknownError(Exception):
    """Raised if the step needs something that only a tensor has."""


class StandIn:
    """A stand-in for a tensor, and for the values of its methods and attributes."""

    def __init__(self, dependence: Dependence) -> None:
        self._dependence = dependence

    @classmethod
    def __torch_function__(
        cls,
        function: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> StandIn:
        return cls(_dependence((args, kwargs)))

    def __getattr__(self, name: str) -> StandIn:
        if name.startswith("__"):  # Python itself would use it
            raise AttributeError(name)
        return self

    def _with(self, *others: Any, **options: Any) -> Any:
        if any(isinstance(other, Complex) for other in others):
            return NotImplemented  # its own operator is tried next
        return StandIn(_dependence((self, others, options)))

    def _unknown(self, *others: Any) -> NoReturn:
        raise UnknownError

    __call__ = __getitem__ = __neg__ = __pos__ = __abs__ = __invert__ = _with
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _with
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = _with
    __pow__ = __rpow__ = __matmul__ = __rmatmul__ = _with
    __and__ = __rand__ = __or__ = __ror__ = __xor__ = __rxor__ = _with
    __lt__ = __le__ = __gt__ = __ge__ = _with
    __eq__ = __ne__ = _with
    __bool__ = __float__ = __int__ = __index__ = __len__ = __iter__ = _unknown
    __hash__ = object.__hash__


def _dependence(value: object) -> Dependence:
    """Return what a value, or any value that it contains, depends on at most."""
    if isinstance(value, StandIn):
        return value._dependence
    if isinstance(value, Tensor):  # from outside the step
        return Dependence.UNIT
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return max(map(_dependence, value), default=Dependence.NUMBER)
    return Dependence.NUMBER


def rehearse(cls: type, signature: StepSignature, options: inspect.Signature) -> None:
    """Run the step of a class of cells on stand-ins and check it against its declaration.

    Args:
        cls: the class.
        signature: the signature of its step.
        options: the signature of its constructor, for the values of constants.

    Raises:
        StepError: if it returns nothing, fewer or more values than declared or one that depends
            on no input, or applies a map to a number.
    """
    owner = cls.__name__
    source = _Rehearsal(owner, options.parameters)
    arguments = [each.role.value(source, each.name) for each in signature.arguments]
    try:
        result = signature.call(cls.step, arguments)  # type: ignore[attr-defined]
    except StepError:
        raise
    except Exception:  # a step that fails on stand-ins need not fail on tensors
        return
    values = returned(owner, signature, result, (StandIn, Tensor))
    for name, value in zip(signature.results, values, strict=True):
        if _dependence(value) is not Dependence.SEQUENCE:
            raise StepError(
                f"{owner}.step: {name} depends on neither the input nor a state; expected a value "
                "for each sequence of the batch"
            )


class _Rehearsal:
    """A :class:`~torchrecurrent.roles.role.Source` of stand-ins, for a class without sizes."""

    def __init__(self, owner: str, options: Mapping[str, inspect.Parameter]) -> None:
        self._owner, self._options = owner, options

    def option(self, name: str) -> Any:
        """The default of an option if it is a number; some number of layers if not."""
        default = self._options[name].default if name in self._options else None
        return default if isinstance(default, int | float) else 3

    def state(self, name: str) -> StandIn:
        return StandIn(Dependence.SEQUENCE)

    def input(self) -> StandIn:
        return StandIn(Dependence.SEQUENCE)

    def constant(self, name: str) -> Any:
        default = self._options[name].default if name in self._options else None
        # A property, or an option without a default, may be anything.
        return default if isinstance(default, int | float) else StandIn(Dependence.SEQUENCE)

    def gap(self, name: str) -> Any:
        return self.constant(name)

    def scalar(self, name: str) -> StandIn:
        return StandIn(Dependence.NUMBER)

    def vector(self, weight: Weight, name: str) -> StandIn:
        return StandIn(Dependence.UNIT)

    def bias(self, name: str) -> StandIn:
        return StandIn(Dependence.UNIT)

    def nonlinearity(self, name: str) -> Callable[[Any], StandIn]:
        return _nonlinearity

    def product(self, name: str, role: roles.ProductRole) -> StandIn:
        return StandIn(Dependence.SEQUENCE)

    def mapped(
        self, name: str, weight: Weight, names: Sequence[str], value: Any, columns: str
    ) -> tuple[StandIn, ...]:
        return (self._applied(name, value),) * len(names)

    def across(self, across: Across, name: str, value: Any, rows: str | None = None) -> StandIn:
        return self._applied(name, value)

    def _applied(self, name: str, value: Any) -> StandIn:
        found = _dependence(value)
        check_mapped(self._owner, name, None if found is Dependence.NUMBER else 0, 0)
        return StandIn(found)


def _nonlinearity(value: Any) -> StandIn:
    if not isinstance(value, StandIn):
        raise UnknownError
    return value
