"""The content of a cell's page besides its docstring, read from an instance of the cell.

The instance is built with distinctive sizes, so that each number in its layout can be
told for what it is: I, H, or the option that it was given as.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch

from torchrecurrent import BaseRecurrentCell, roles
from torchrecurrent.declaration.described import initializer_name
from torchrecurrent.declaration.initial import starts
from torchrecurrent.declaration.integration import VECTORS
from torchrecurrent.declaration.layout import Block
from torchrecurrent.roles import Weight

__all__ = ["BlockRow", "StateRow", "Symbolic"]

# Primes, the options' smaller than H, so that no product or sum of them is another one.
_INPUT, _HIDDEN = 211, 199
_OPTIONS = (83, 89, 97)


@dataclass(frozen=True)
class BlockRow:
    """Neighbouring blocks of a stacked parameter, alike in shape and initialisation."""

    parameter: str
    names: tuple[str, ...]
    rows: str
    #: Of one block.
    shape: str
    initialisation: str


@dataclass(frozen=True)
class StateRow:
    """One state."""

    name: str
    width: str
    is_output: bool


class Symbolic:
    """A cell with formulas for its sizes.

    Args:
        cell: the class.
        switches: options of which 0 means "none", here switched on.
    """

    def __init__(self, cell: type[BaseRecurrentCell], switches: tuple[str, ...] = ()) -> None:
        sizes = dict(zip(switches, _OPTIONS, strict=False))
        self.symbols = {value: rf"\text{{{name}}}" for name, value in sizes.items()}
        self.symbols |= {_INPUT: "I", _HIDDEN: "H"}
        options: dict[str, Any] = {**sizes, "dtype": torch.float64}
        try:
            self.cell = cell(_INPUT, _HIDDEN, **options)
        except ValueError:  # the cell wants both sizes equal
            self.cell = cell(_HIDDEN, _HIDDEN, **options)
        self.tied = self.cell.input_size == self.cell.hidden_size

    @classmethod
    def variants(cls, cell: type[BaseRecurrentCell]) -> list[tuple[str, Symbolic]]:
        """The cell with each of its switched-off sizes switched on, by the option's name."""
        parameters = inspect.signature(cell).parameters.values()
        switches = [p.name for p in parameters if p.annotation is int and p.default == 0]
        return [(name, cls(cell, (name,))) for name in switches]

    def size(self, number: int) -> str:
        """A number as a multiple of symbols, or a little more; as it is where it is neither."""
        for value, symbol in self.symbols.items():
            if number and number % value == 0:
                rest = self.size(number // value)
                return f"{symbol}^2" if rest == symbol else f"{rest} {symbol}".removeprefix("1 ")
        for value in (_HIDDEN, _INPUT):
            if number > value and number % value < min(_OPTIONS):
                return f"{self.size(number - number % value)} + {number % value}"
        return str(number)

    def blocks(self) -> list[BlockRow]:
        """All blocks, those of a parameter in their order."""
        first = self._declared()
        stacks = self.cell.layout.stacks
        rows: list[BlockRow] = []
        for weight in stacks:
            rows += self._rows(weight, weight.name, weight.weight_option, first)
        for weight in stacks:
            if weight.bias is not None and getattr(self.cell, weight.bias) is not None:
                rows += self._rows(weight, weight.bias, weight.bias_option, first)
        for argument in self.cell.signature.having(roles.ScalarRole):
            value = getattr(self.cell, f"{argument.name}_init")
            rows.append(BlockRow(argument.name, (argument.name,), "0 : 1", "1", f"{value:g}"))
        return rows

    def _rows(
        self, weight: Weight, parameter: str, option: str, first: dict[tuple[str, str], str]
    ) -> list[BlockRow]:
        default = self._initializer(weight, option)

        def alike(block: Block) -> tuple[str, str]:
            shape = block.shape if parameter == weight.name else block.shape[:1]
            return (
                r" \times ".join(self.size(number) for number in shape),
                first.get((parameter, block.name), "{}").format(default),
            )

        layout = self.cell.layout
        found = layout.blocks(weight) if parameter == weight.name else layout.bias_blocks(weight)
        rows = []
        for (shape, initialisation), group in groupby(found, alike):
            blocks = list(group)
            span = f"{self.size(blocks[0].start)} : {self.size(blocks[-1].stop)}"
            names = tuple(block.name for block in blocks)
            rows.append(BlockRow(parameter, names, span, shape, initialisation))
        return rows

    def _initializer(self, weight: Weight, option: str) -> str:
        if weight in VECTORS:
            return initializer_name("ones")
        of_class = getattr(type(self.cell), option, None)
        return initializer_name(
            of_class if isinstance(of_class, property) else getattr(self.cell, option)
        )

    def _declared(self) -> dict[tuple[str, str], str]:
        """The class's declaration of a block's first values; {} is its option's initialiser."""
        biases = [weight.bias for weight in self.cell.layout.stacks]
        declared: dict[tuple[str, str], str] = {}
        for start in starts(self.cell):
            declared |= dict.fromkeys(start.zeros, "``zeros``")
            for place in start.blocks:
                if not callable(value := start.value):
                    text = f"{{}} {'-' if value < 0 else '+'} {abs(value):g}"
                elif place[0] in biases:
                    text = initializer_name(value)
                else:
                    text = f"{{}}, then {initializer_name(value)}"
                declared[place] = text
        return declared

    def states(self) -> list[StateRow]:
        """The states in their order."""
        argument = next(self.cell.signature.having(roles.DelayedRole), None)
        rows = []
        for k, (name, width) in enumerate(
            zip(self.cell.state_names, self.cell.state_widths, strict=True)
        ):
            size = self.size(width)
            if argument is not None and name == argument.name:
                size = rf"\text{{{argument.role.steps}}} \cdot H"  # type: ignore[attr-defined]
            rows.append(StateRow(name, size, k == 0 and not self.cell.signature.has_output))
        return rows
