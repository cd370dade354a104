"""The layout of the stacked parameters: the rows of each argument of a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .. import roles
from ..roles import INPUT, RECURRENT, Weight
from .integration import INTEGRATORS
from .signature import StepSignature

if TYPE_CHECKING:
    from ..cell import BaseRecurrentCell

__all__ = ["Block", "Layout", "Run"]


@dataclass(frozen=True)
class Block:
    """The rows of one stacked parameter that belong to one argument of the step."""

    name: str
    start: int
    stop: int
    #: Width of the value that the block multiplies; ``None`` for a vector.
    columns: int | None
    #: The state a recurrent product reads; ``None`` for all other blocks.
    of: str | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        rows = self.stop - self.start
        return (rows,) if self.columns is None else (rows, self.columns)


@dataclass(frozen=True)
class Run:
    """Adjacent blocks of one height that multiply the same state in one product."""

    weight: Weight
    of: str
    start: int
    stop: int
    names: tuple[str, ...]

    @property
    def rows(self) -> int:
        """Rows of each block; all have the same number."""
        return (self.stop - self.start) // len(self.names)


@dataclass(frozen=True)
class Layout:
    """The blocks of every stacked parameter of one cell, in order."""

    stacks: dict[Weight, tuple[Block, ...]]
    #: The recurrent products of a step, as few as the layout allows.
    runs: tuple[Run, ...]
    #: The blocks of the input's weight that are multiplied for all time steps at once; maps that
    #: the step applies itself may come after them.
    projected: tuple[Block, ...] = ()
    #: The arguments that are the input itself, since their products have no rows.
    identities: tuple[str, ...] = ()
    #: Where a step names its biases, their blocks; elsewhere a bias is laid out as its weight.
    named_biases: dict[Weight, tuple[Block, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, signature: StepSignature, cell: BaseRecurrentCell) -> Layout:
        """Lay the arguments of ``signature`` out at the sizes of ``cell``.

        Raises:
            ValueError: if blocks of one parameter differ in width, or a diagonal
                recurrence would combine different widths.
        """
        widths = dict(zip(cell.state_names, cell.state_widths, strict=True))
        for argument in signature.having(roles.DelayedRole):
            widths[argument.name] = cell.output_size
        stacks: dict[Weight, list[Block]] = {}
        for argument in signature.arguments:
            role = argument.role
            for weight in role.weights:
                rows, (columns, of) = role.height(cell), role.reads(weight, cell, widths)
                blocks = stacks.setdefault(weight, [])
                for name in role.blocks(argument.name, cell) if rows else ():
                    start = blocks[-1].stop if blocks else 0
                    blocks.append(Block(name, start, start + rows, columns, of))
                if len({block.columns for block in blocks}) > 1:
                    raise ValueError(f"{weight.name}: its blocks differ in width: {blocks}")
        for weight, rows_of in INTEGRATORS[cell.integration].vectors(cell).items():
            stacks[weight] = _vectors(rows_of)
        kept = {weight: tuple(blocks) for weight, blocks in stacks.items() if blocks}
        named = [argument.name for argument in signature.having(roles.BiasRole)]
        size = cell.hidden_size
        biases = tuple(Block(name, k * size, (k + 1) * size, None) for k, name in enumerate(named))
        owners = [weight for weight in (INPUT, RECURRENT) if named and weight in kept]
        products = [argument.name for argument in signature.having(roles.ProductRole)]
        laid = {block.name for blocks in kept.values() for block in blocks}
        identities = tuple(name for name in products if name not in laid)
        projected = _before_maps(kept.get(INPUT, ()), products)
        return cls(kept, _runs(kept), projected, identities, dict.fromkeys(owners, biases))

    def blocks(self, weight: Weight) -> tuple[Block, ...]:
        """The blocks of ``weight``; none where this cell has no such parameter."""
        return self.stacks.get(weight, ())

    def block(self, weight: Weight, name: str) -> Block | None:
        """The block of ``weight`` that belongs to argument ``name``, if there is one."""
        return next((block for block in self.blocks(weight) if block.name == name), None)

    def bias_blocks(self, weight: Weight) -> tuple[Block, ...]:
        """The blocks of the bias of ``weight``."""
        return self.named_biases.get(weight, self.blocks(weight))

    def bias_block(self, weight: Weight, name: str) -> Block | None:
        """The block of the bias of ``weight`` that belongs to argument ``name``."""
        return next((block for block in self.bias_blocks(weight) if block.name == name), None)

    def biases(self, name: str) -> list[str]:
        """The stacked biases with a block that belongs to argument ``name``."""
        return [each.bias for each in self.stacks if each.bias and self.bias_block(each, name)]

    def shape(self, weight: Weight) -> tuple[int, ...]:
        """The shape of the stacked parameter."""
        last = self.stacks[weight][-1]
        return (last.stop, *last.shape[1:])


def _vectors(rows_of: Mapping[str, int]) -> list[Block]:
    blocks: list[Block] = []
    for name, rows in rows_of.items():
        start = blocks[-1].stop if blocks else 0
        blocks.append(Block(name, start, start + rows, None))
    return blocks


def _before_maps(inputs: Sequence[Block], products: Sequence[str]) -> tuple[Block, ...]:
    """The blocks of the input's weight that are products; maps have to come after them."""
    found = tuple(block for block in inputs if block.name in products)
    if found != tuple(inputs[: len(found)]):
        names = ", ".join(block.name for block in inputs)
        raise ValueError(f"{INPUT.name}: expected products before maps, got {names}")
    return found


def _runs(stacks: Mapping[Weight, Sequence[Block]]) -> tuple[Run, ...]:
    runs: list[Run] = []
    for weight, blocks in stacks.items():
        for block in blocks:
            if block.of is None:
                continue
            last = runs[-1] if runs else None
            rows = block.stop - block.start
            key = (weight, block.of, block.start, rows)
            if last and (last.weight, last.of, last.stop, last.rows) == key:
                names = (*last.names, block.name)
                runs[-1] = Run(weight, block.of, last.start, block.stop, names)
            else:
                runs.append(Run(weight, block.of, block.start, block.stop, (block.name,)))
    return tuple(runs)
