"""The options of a cell: annotated class attributes, read as a dataclass reads them.

A cell declares an option of its own, with its default, as a line ``dt: float = 0.1``
in the class body; it becomes a keyword of the constructor, an attribute of the
instance and a part of its ``repr``. Type checkers learn this from
:func:`typing.dataclass_transform`; a cell can't be an actual dataclass, which would
compare and hash by value, unlike a :class:`torch.nn.Module`.
"""

from __future__ import annotations

import inspect
import math
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, ClassVar, Literal

import torch
from typing_extensions import dataclass_transform

from ..activations import Activation, resolve_activation
from ..closest import closest, did_you_mean
from ..init import Initializer, resolve_initializer
from ..interop.per_sample import PerSample
from .annotations import hints_of
from .identity import Numbered
from .initial import First, check_first
from .layout import Layout
from .noise import Zoneout
from .rehearsal import rehearse
from .signature import StepSignature

__all__ = [
    "LAYER_OPTIONS",
    "Options",
    "bind",
    "check_declarations",
    "check_frozen",
    "constructor_signature",
    "expected",
    "options_repr",
    "positional",
    "too_many",
]

#: The options of a layer that its cells don't have.
LAYER_OPTIONS = (
    "num_layers",
    "batch_first",
    "dropout",
    "input_dropout",
    "variational",
    "bidirectional",
    "return_sequences",
    "merge",
    "residual",
    "layer_norm",
    "initial_state",
    "checkpoint_every",
)
_KEYWORD = inspect.Parameter.KEYWORD_ONLY


class _Positional:
    """Marks a field that may be passed by position."""

    def __init__(self, default: object) -> None:
        self.default = default


def positional(*, kw_only: Literal[False], default: Any = inspect.Parameter.empty) -> Any:
    """Declare a field that may be passed by position (all others are keywords).

    ``kw_only`` has only one value; type checkers read it where the field is declared.
    """
    return _Positional(default)


@dataclass_transform(kw_only_default=True, field_specifiers=(positional,))
class Options(Numbered):
    """Makes the annotated attributes of subclasses options; those of this class are not."""

    #: The pure function that a subclass writes.
    step: ClassVar[Callable[..., Any]]
    #: The roles of its arguments.
    signature: ClassVar[StepSignature]
    #: Makes a named tuple of several states.
    state_tuple: ClassVar[Callable[..., Any]]
    #: The constructor's arguments that are attributes of the instance.
    option_names: ClassVar[tuple[str, ...]]
    #: The first values of the step's arguments; see :mod:`torchrecurrent.declaration.initial`.
    first: ClassVar[First] = {}
    #: Where each argument finds its rows in the stacked parameters.
    layout: Layout
    #: The numeric options and properties that its step reads.
    constants: tuple[str, ...]
    #: The shape of every stacked parameter, and of every learned number, as a kernel takes them.
    parameter_shapes: Mapping[str, tuple[int, ...]]
    #: The names of the parameters that are not trained.
    frozen: tuple[str, ...]
    #: Whether ``forward`` is the base's, which runs whole sequences for a layer.
    takes_sequences: ClassVar[bool] = True
    #: Why no kernel can run the cell, whatever its step is; empty if one may.
    no_kernel: ClassVar[str] = ""
    #: Whether its effective parameters are its parameters, but for dropout.
    uses_its_parameters: ClassVar[bool] = True
    #: What is owed to opacus, where it watches the cell.
    per_sample: PerSample | None = None
    _names: tuple[str, ...]
    #: How many values of the input, the last ones, no product sees.
    _unseen: int


def constructor_signature(cls: type, base: type) -> inspect.Signature:
    """Return the signature described by the annotated attributes of ``cls``, from ``base`` down."""
    fields: dict[str, inspect.Parameter] = {}
    owner: Any
    for owner in reversed(cls.__mro__):
        if not issubclass(owner, base):
            continue
        for name, hint in _annotated(owner).items():
            default = getattr(cls, name, inspect.Parameter.empty)
            field = inspect.Parameter(name, _KEYWORD, annotation=hint)
            if isinstance(default, _Positional):
                default = default.default
                field = field.replace(kind=inspect.Parameter.POSITIONAL_OR_KEYWORD)
            fields[name] = field.replace(default=default)
    return inspect.Signature(sorted(fields.values(), key=lambda field: field.kind))


@cache
def _annotated(owner: Any) -> dict[str, Any]:
    """Return the annotations in a class body that declare options."""
    names = inspect.get_annotations(owner)
    hints = hints_of(owner) if names else {}
    return {
        name: hints[name]
        for name in names
        if typing.get_origin(hints[name]) is not ClassVar and not name.startswith("_")
    }


def bind(cls: type, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the constructor's arguments by name, with defaults filled in and types checked.

    Raises:
        TypeError: for a missing or unknown argument, or one of the wrong type.
        ValueError: for a size that is not positive or an unknown name.
    """
    signature = inspect.signature(cls)
    for name in kwargs:
        if name not in signature.parameters:
            raise _unknown(cls, name, list(signature.parameters))
    taken = [field.name for field in signature.parameters.values() if field.kind is not _KEYWORD]
    if len(args) > len(taken):
        named = [name for name in signature.parameters if name not in taken]
        raise too_many(cls.__name__, taken, len(args), named)
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{cls.__name__}(): {error}") from None
    bound.apply_defaults()
    for name, value in bound.arguments.items():
        _check(signature.parameters[name], value)
    return dict(bound.arguments)


def _unknown(cls: type, name: str, known: list[str]) -> TypeError:
    """Return the error for an option that a cell does not have; it may be one of the layer's."""
    near = closest(name, [*known, *LAYER_OPTIONS])
    if near and near[0] in LAYER_OPTIONS:
        hint = f" ({near[0]!r} is an option of a layer, not of its cell)"
    else:
        hint = did_you_mean(name, known)
    return TypeError(
        f"{cls.__name__}() got an unexpected keyword argument {name!r}{hint}; "
        f"expected one of {', '.join(known)}"
    )


def too_many(
    owner: str, taken: Sequence[str], given: int, named: Sequence[str], why: str = ""
) -> TypeError:
    """Return the error for more positional arguments than a constructor takes.

    Args:
        owner: name of the class.
        taken: its positional arguments.
        given: the number of arguments given.
        named: its keyword arguments, in order.
        why: why the others have to be keywords.
    """
    example = ", ".join(f"{name}=..." for name in named[: given - len(taken)])
    return TypeError(
        f"{owner}() takes at most {len(taken)} arguments by position ({', '.join(taken)}), got "
        f"{given}; pass the others by name{f', since {why}' if why else ''}: {example}"
    )


def expected(name: str, wanted: str, value: object) -> TypeError:
    """Return the error for an argument of the wrong type, in torch's words."""
    return TypeError(f"{name} should be of type {wanted}, got: {type(value).__name__}")


def _check_bool(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise expected(name, "bool", value)


def _check_size(name: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise expected(name, "int", value)
    if value < 0:
        raise ValueError(f"{name} must not be negative, got {value}")


def _check_positive(name: str, value: Any) -> None:
    _check_size(name, value)
    if value == 0:
        raise ValueError(f"{name} must be greater than zero, got 0")


def _check_number(name: str, value: Any) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise expected(name, "float", value)
    if not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, got {value}")


def _check_rates(name: str, value: Any) -> None:
    for each in value if isinstance(value, tuple | list) else (value,):
        _check_number(name, each)


def _check_names(name: str, value: Any) -> None:
    if not isinstance(value, tuple | list):
        raise expected(name, "tuple of str", value)
    for each in value:
        if not isinstance(each, str):
            raise expected(f"a name in {name}", "str", each)


def _check_sizes(name: str, value: Any) -> None:
    if not isinstance(value, tuple | list):
        raise expected(name, "tuple of int", value)
    if not value:
        raise ValueError(f"{name} must not be empty")
    for each in value:
        _check_positive(f"a number in {name}", each)


def check_frozen(names: Sequence[str], known: Sequence[str]) -> None:
    """Raise ValueError for a name that is none of a cell's parameters."""
    for name in names:
        if name not in known:
            raise ValueError(
                f"frozen: expected names of parameters ({', '.join(known)}), got {name!r}"
            )


_CHECKS: dict[Any, Callable[[str, Any], object]] = {
    bool: _check_bool,
    int: _check_positive,
    float: _check_number,
    Zoneout: _check_rates,
    tuple[str, ...]: _check_names,
    tuple[int, ...]: _check_sizes,
    Activation: resolve_activation,
    Initializer: resolve_initializer,
}


def _check(field: inspect.Parameter, value: Any) -> None:
    name, annotation = field.name, field.annotation
    if typing.get_origin(annotation) is Literal:
        choices = typing.get_args(annotation)
        if value not in choices:
            raise ValueError(f"{name} should be one of {choices}, got {value!r}")
    elif annotation is int and field.default == 0:  # a size that 0 switches off
        _check_size(name, value)
    elif annotation in _CHECKS:
        _CHECKS[annotation](name, value)
    elif annotation == bool | None and value is not None:
        _check_bool(name, value)
    elif annotation == torch.dtype | None and value is not None:
        if not isinstance(value, torch.dtype):
            raise expected(name, "torch.dtype", value)
        if not value.is_floating_point:
            raise TypeError(f"{name} should be a floating point dtype, got {value}")


def check_declarations(
    cls: type[Options], steps: StepSignature, options: inspect.Signature
) -> None:
    """Check that every option that a step relies on is declared by its class.

    Raises:
        TypeError: if an argument of the step, or a stacked parameter, needs an option that
            the class does not have.
    """

    def follows(name: str) -> bool:
        """Whether the value follows from other options."""
        return isinstance(getattr(cls, name, None), property)

    needs: dict[str, tuple[str, str]] = {}  # the option's type, and the argument that needs it
    for argument in steps.arguments:
        for option, kind in argument.role.needs(argument.name).items():
            if not follows(option):
                needs[option] = kind, argument.name
    needs |= {option: ("float", name) for option, name in check_first(cls, steps).items()}
    for weight, names in steps.stacked().items():
        if not follows(weight.weight_option):
            needs[weight.weight_option] = "Initializer", names[0]
        if weight.bias is not None:
            needs[weight.bias_flag] = "bool | None", names[0]
            needs[weight.bias_option] = "Initializer", names[0]
    for option, (kind, name) in needs.items():
        if option not in options.parameters:
            way = "declare it in the class body, with its type and default"
            if hasattr(cls, option):  # an attribute without a type is not an option
                way = f"annotate it: {option}: {kind} = {getattr(cls, option)!r}"
            raise TypeError(
                f"{cls.__name__}.step: argument {name!r} needs the option {option!r}; {way}"
            )
    rehearse(cls, steps, options)


def options_repr(instance: object, options: inspect.Signature) -> str:
    """Print the sizes and every option that is not at its default, as torch does."""
    parts = []
    for name, field in options.parameters.items():
        value = getattr(instance, name, field.default)
        default = field.default
        # By default it follows ``bias``; in a cell without its weight it stays None.
        if default is None and value is not None and name.endswith("_bias"):
            default = getattr(instance, "bias", None)
        if default is inspect.Parameter.empty:
            parts.append(f"{value}")
        elif value != default:
            parts.append(f"{name}={getattr(value, '__name__', value)}")
    return ", ".join(parts)
