"""Makes the cells of a layer from what the caller gave: class, name, factory, cell or list."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, cast

import torch
from torch import nn

from ..activations import Activation
from ..closest import did_you_mean
from ..declaration.options import expected, too_many
from ..foreign import output_size
from ..fresh import fresh_copy
from .between import merged_width
from .given_cell import Maker, OneCell, given_cell, refuse_layer

if TYPE_CHECKING:
    from .recurrent import Recurrent

__all__ = [
    "CellLike",
    "CellOption",
    "build_cells",
    "check_layer_options",
    "hidden_sizes",
    "options_by_name",
]

P = ParamSpec("P")
#: What :class:`~torchrecurrent.Recurrent` takes as its cell.
CellLike = OneCell | Sequence[OneCell | tuple[OneCell, OneCell]]
#: What an option of a cell can be; its names and types are the cell's own.
CellOption = (
    bool
    | int
    | float
    | tuple[float, ...]
    | tuple[str, ...]
    | Activation
    | torch.dtype
    | torch.device
    | None
)


def build_cells(
    layer: Recurrent, cell: CellLike, options: Mapping[str, object]
) -> tuple[list[nn.Module], list[int]]:
    """One cell for each layer and direction, in the order of torch's states.

    Returns:
        The cells; and how wide each layer's input is and, last, the output.

    Raises:
        TypeError: an option that the cell does not know, an instance where several cells
            are needed, or one of which there can't be a copy initialised anew.
        ValueError: a list of the wrong length, an instance of the wrong size, cells that don't
            go with an option of the layer.
    """
    stack = _stack(layer, cell)
    cells: list[nn.Module] = []
    widths = [layer.input_size]
    copies: dict[nn.Module, nn.Module] = {}  # so that layers share what they share forwards
    sizes = hidden_sizes(layer.hidden_size, layer.num_layers)
    for directions, hidden_size in zip(stack, sizes, strict=True):
        width = widths[-1]
        built = [
            one if isinstance(one, nn.Module) else _call(layer, one, width, hidden_size, options)
            for one in directions
        ]
        for one, module in zip(directions, built, strict=True):
            if one is module:
                _check_instance(module, width, options)
        if len(built) < layer.num_directions:
            (forwards,) = built
            if forwards not in copies:
                copies[forwards] = fresh_copy(forwards)
            built.append(copies[forwards])
        cells += built
        found = [output_size(module, hidden_size) for module in built]
        widths.append(merged_width(layer.merge, found))
    for name in ("weight_dropout", "recurrent_dropout") if layer.checkpoint_every else ():
        if any(getattr(each, name, 0) for each in cells):
            raise ValueError(
                f"checkpoint_every={layer.checkpoint_every}: a cell's {name} draws a mask at each "
                "call, which would be another one for each piece of a sequence; expected 0"
            )
    return cells, widths


def hidden_sizes(hidden_size: int | Sequence[int], num_layers: int) -> Sequence[int]:
    """The hidden size of each layer."""
    return [hidden_size] * num_layers if isinstance(hidden_size, int) else hidden_size


def _stack(layer: Recurrent, cell: CellLike) -> list[list[Maker]]:
    """For each layer, what makes the cell of each direction, or the instance for all of them."""
    directions = layer.num_directions
    entries: Sequence[OneCell | tuple[OneCell, OneCell]]
    if isinstance(cell, list | tuple):
        entries = cell
    else:
        one = given_cell("cell", cast("OneCell", cell))
        if isinstance(one, nn.Module) and layer.num_layers > 1:
            raise TypeError(
                f"cell: one instance of {type(one).__name__} can't serve {layer.num_layers} "
                "layers; expected a class, a factory or a list"
            )
        entries = [one] * layer.num_layers
    if len(entries) != layer.num_layers:
        raise ValueError(
            f"cell: expected a list with one entry for each of num_layers={layer.num_layers} "
            f"layers, got {len(entries)}"
        )
    stack: list[list[Maker]] = []
    for entry in entries:
        if isinstance(entry, nn.Module):
            stack.append([given_cell("cell", entry)])
            continue
        each = entry if isinstance(entry, list | tuple) else (entry,) * directions
        if len(each) != directions:
            raise ValueError(f"cell: expected {directions} cell(s) for a layer, got {len(each)}")
        stack.append([given_cell("cell", one) for one in each])
    return stack


def _call(
    layer: Recurrent,
    factory: Callable[..., nn.Module],
    input_size: int,
    hidden_size: int,
    options: Mapping[str, object],
) -> nn.Module:
    """Call ``factory`` with those of ``options`` that were set."""
    parameters = inspect.signature(factory).parameters
    takes_all = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    name = getattr(factory, "__name__", type(factory).__name__)
    known: dict[str, Any] = {}
    for option, value in options.items():
        if _is_default(option, value):  # whatever the factory's own default is
            continue
        if option in parameters or takes_all:
            known[option] = value
        elif option == "proj_size":
            raise ValueError(
                f"proj_size argument is only supported for LSTM, not {name.removesuffix('Cell')}"
            )
        else:
            known_here = [*_options_of(type(layer)), *parameters]
            raise TypeError(
                f"{type(layer).__name__}() got an unexpected keyword argument {option!r}"
                f"{did_you_mean(option, known_here)}; {name} takes {', '.join(parameters)}"
            )
    module = factory(input_size, hidden_size, **known)
    if not isinstance(module, nn.Module):
        raise TypeError(
            f"cell: {name} should return a torch.nn.Module, got: {type(module).__name__}"
        )
    refuse_layer("cell", module)
    return module


def _options_of(layer: type[Recurrent]) -> list[str]:
    """The names of what a class of layers takes itself."""
    found = inspect.signature(layer).parameters.values()
    return [each.name for each in found if each.kind is not inspect.Parameter.VAR_KEYWORD]


def options_by_name(
    init: Callable[P, None], fields: Sequence[inspect.Parameter] = ()
) -> Callable[P, None]:
    """Have the constructor of a layer refuse, under the layer's name, options by position.

    Args:
        init: the constructor.
        fields: what it takes; left out, its own signature says it.
    """
    fields = fields or list(inspect.signature(init).parameters.values())[1:]
    taken = [each for each in fields if each.kind is each.POSITIONAL_OR_KEYWORD]
    named = [each.name for each in fields if each.kind is each.KEYWORD_ONLY]

    @functools.wraps(init)
    def checked(*args: P.args, **kwargs: P.kwargs) -> None:
        owner, given = type(args[0]).__name__, len(args) - 1
        if given > len(taken):
            why = "published packages disagree on their order"
            raise too_many(owner, [each.name for each in taken], given, named, why)
        for each in taken[given:]:
            if each.default is each.empty and each.name not in kwargs:
                raise TypeError(f"{owner}(): missing a required argument: {each.name!r}")
        init(*args, **kwargs)

    return checked


def _is_default(option: str, value: object) -> bool:
    return (option == "bias" and value is True) or (option in ("device", "dtype") and value is None)


def _check_instance(module: nn.Module, width: int, options: Mapping[str, object]) -> None:
    name = type(module).__name__
    for option, value in options.items():
        if not _is_default(option, value):
            raise TypeError(
                f"{option} can't be set on an instance of {name}; give it to the instance "
                "itself, or pass the class"
            )
    size = getattr(module, "input_size", width)
    if size != width:
        raise ValueError(
            f"cell: expected an instance with input_size={width}, got {name} with {size}"
        )


def check_layer_options(layer: Recurrent) -> None:
    """Check the layer's own options, in torch's words.

    Raises:
        TypeError: an option of the wrong type.
        ValueError: an option out of range.
    """
    for name in ("dropout", "input_dropout"):
        value = getattr(layer, name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise ValueError(
                f"{name} should be a number in range [0, 1] representing the probability of an "
                f"element being zeroed, got {value!r}"
            )
    if layer.variational and not (layer.dropout or layer.input_dropout):
        raise ValueError("variational=True needs dropout or input_dropout, which are 0")
    for name in (
        "bias",
        "batch_first",
        "bidirectional",
        "variational",
        "return_sequences",
        "residual",
        "layer_norm",
    ):
        value = getattr(layer, name)
        if not isinstance(value, bool):
            raise expected(name, "bool", value)
    for name, known in (
        ("merge", ("concat", "sum", "mean")),
        ("initial_state", ("zeros", "learned")),
    ):
        if (value := getattr(layer, name)) not in known:
            raise ValueError(f"{name} should be one of {', '.join(known)}, got {value!r}")
    for name in ("input_size", "num_layers", "proj_size", "checkpoint_every"):
        value = getattr(layer, name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise expected(name, "int", value)
        if name == "checkpoint_every":
            if value < 0:
                raise ValueError(f"checkpoint_every must not be negative, got {value}")
            continue
        if name == "proj_size":
            if value < 0:
                raise ValueError(
                    "proj_size should be a positive integer or zero to disable projections, "
                    f"got {value}"
                )
        elif value <= 0:
            raise ValueError(f"{name} must be greater than zero, got {value}")
    _check_hidden_sizes(layer)


def _check_hidden_sizes(layer: Recurrent) -> None:
    given, layers = layer.hidden_size, layer.num_layers
    sizes = given if isinstance(given, list | tuple) else [given]
    if sizes is given and len(sizes) != layers:
        raise ValueError(
            f"hidden_size: expected a list with one entry for each of num_layers={layers} layers, "
            f"got {len(sizes)}"
        )
    for size in sizes:
        if not isinstance(size, int) or isinstance(size, bool):
            raise expected("hidden_size", "int", size)
        if size <= 0:
            raise ValueError(f"hidden_size must be greater than zero, got {size}")
