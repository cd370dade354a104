"""Initialises the parameters of a cell: every block by its option, then as the class declares.

A class declares in ``first`` the other first values of its arguments:

.. code-block:: python

    first = {"f": "forget_bias"}  # a number, or an option's name: added to the bias of f
    first = {"f": chrono(100)}  # an initialiser: the bias of f begins so, whatever bias_init is
    first = {"weight_ih.f": gain(0.5)}  # the rows of f in another parameter, after its option
    first = {("f", "r"): uniform_gates_}  # an initialiser of two arguments

A property may take the place of an option; if it is ``None`` nothing is declared, and its
docstring describes its value on the cell's page.

An argument may have two biases, that of the input's product and that of the state's. Since they
are added, the declaration is for the first that exists; an initialiser makes the other zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from .. import roles
from ..init import resolve_initializer
from ..roles import INPUT, RECURRENT
from .integration import VECTORS
from .layout import Block
from .signature import StepSignature

if TYPE_CHECKING:
    from ..cell import BaseRecurrentCell
    from .options import Options

__all__ = ["Begins", "First", "Start", "check_first", "initialize", "starts"]

#: A number, the name of an option or a property with one, or an initialiser.
Begins = float | str | Callable[..., object]
#: The first values of arguments by name: of an argument's bias, or of a vector argument itself;
#: ``"weight_ih.f"``: of the rows of f in that parameter.
First = Mapping[str | tuple[str, ...], Begins]


@dataclass(frozen=True)
class Start:
    """The declared first value of some blocks, each a parameter and the block's name."""

    blocks: tuple[tuple[str, str], ...]
    #: A number is added; an initialiser is called with all of the blocks.
    value: float | Callable[..., object]
    #: The other biases of the same arguments.
    zeros: tuple[tuple[str, str], ...]


@torch.no_grad()
def initialize(cell: BaseRecurrentCell) -> None:
    """Fill every parameter, one block at a time."""
    for weight in cell.layout.stacks:
        option = weight.weight_option
        value = "ones" if weight in VECTORS else getattr(cell, option)
        _fill(cell.get_parameter(weight.name), cell.layout.blocks(weight), option, value)
        if weight.bias and getattr(cell, weight.bias) is not None:
            option, blocks = weight.bias_option, cell.layout.bias_blocks(weight)
            _fill(cell.get_parameter(weight.bias), blocks, option, getattr(cell, option))
    for argument in cell.signature.having(roles.ScalarRole):
        nn.init.constant_(cell.get_parameter(argument.name), getattr(cell, f"{argument.name}_init"))
    for start in starts(cell):
        for each in start.zeros:
            cell.block(*each).zero_()
        rows = [cell.block(*each) for each in start.blocks]
        if callable(start.value):
            start.value(*rows)
        else:
            for each_rows in rows:
                each_rows.add_(start.value)
    for module in cell.children():  # such as a norm, which initialises itself like torch's modules
        if callable(reset := getattr(module, "reset_parameters", None)):
            reset()


def _fill(parameter: Tensor, blocks: Iterable[Block], option: str, value: Any) -> None:
    initializer = resolve_initializer(option, value)
    for block in blocks:
        initializer(parameter[block.start : block.stop])


def starts(cell: BaseRecurrentCell) -> Iterator[Start]:
    """Yield the declarations of ``first`` for the options of ``cell``."""
    for key, given in cell.first.items():
        value = getattr(cell, given) if isinstance(given, str) else given
        if value is None:
            continue
        if not isinstance(value, int | float):
            option = given if isinstance(given, str) else "first"
            value = resolve_initializer(option, value)
        names = (key,) if isinstance(key, str) else key
        for places in zip(*(_places(cell, name) for name in names), strict=True):
            firsts = tuple(place[0] for place in places)
            others = tuple(other for place in places for other in place[1:])
            yield Start(firsts, value, () if isinstance(value, int | float) else others)


def _places(cell: BaseRecurrentCell, name: str) -> Iterator[tuple[tuple[str, str], ...]]:
    """Yield for each block of an argument the place of its first value, and its other biases."""
    parameter, _, row = name.rpartition(".")
    argument = next(
        each
        for each in cell.signature.arguments
        if row == each.name or row in each.role.names(each.name)
    )
    if isinstance(argument.role, roles.VectorRole):
        parameter = argument.role.weight.name
    for block in (row,) if row != argument.name else argument.role.blocks(row, cell):
        if parameter:
            stacks = (weight for weight in cell.layout.stacks if weight.name == parameter)
            found = [each.name for each in stacks if cell.layout.block(each, block) is not None]
        else:
            found = [bias for bias in cell.layout.biases(block) if getattr(cell, bias) is not None]
        if found:
            yield tuple((each, block) for each in found)


def check_first(cls: type[Options], steps: StepSignature) -> dict[str, str]:
    """Check ``first`` of a class; return the options it needs, each with its argument.

    Raises:
        TypeError: for an unknown argument, one without such rows, or a value of the wrong type.
    """
    known = _known(steps)
    needs: dict[str, str] = {}
    for key, value in cls.first.items():
        names = (key,) if isinstance(key, str) else key
        for name in names:
            if name not in known:
                raise TypeError(
                    f"{cls.__name__}.first: expected arguments of its step that have a bias, or "
                    f"rows of a parameter ({', '.join(known)}), got {name!r}"
                )
        if isinstance(value, bool) or not (isinstance(value, int | float | str) or callable(value)):
            raise TypeError(
                f"{cls.__name__}.first: {key!r} should be a number, the name of an option or an "
                f"initializer, got: {type(value).__name__}"
            )
        if isinstance(value, str) and not isinstance(getattr(cls, value, None), property):
            needs[value] = names[0].rpartition(".")[2]
    return needs


def _known(steps: StepSignature) -> list[str]:
    """Return the names allowed in ``first``: arguments with a bias, vectors, rows of parameters."""
    named = [argument.name for argument in steps.having(roles.BiasRole)]
    biased = [
        name
        for weight, names in steps.stacked().items()
        if weight.bias and not (named and weight in (INPUT, RECURRENT))
        for name in names
    ]
    vectors = [argument.name for argument in steps.having(roles.VectorRole)]
    rows = [f"{weight.name}.{name}" for weight, each in steps.stacked().items() for name in each]
    return list(dict.fromkeys([*biased, *named, *vectors, *rows]))
