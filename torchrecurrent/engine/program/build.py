"""From a cell to a plan: runs the step on symbols and reads what it returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ... import roles
from ...across import Across
from ...declaration.arguments import CellSource
from ...declaration.noise import ZONED, noise_of
from ...declaration.step_contract import (
    StepError,
    check_across,
    check_mapped,
    check_width,
    returned,
)
from ...roles import Weight
from ..ir.trace import Symbol, UntraceableError
from .assembly import Assembly
from .given import MASKED, NOTHING, RESETS, Given
from .plan import Map, Plan, Product, Vector

if TYPE_CHECKING:
    from ...cell import BaseRecurrentCell

__all__ = ["make_plan"]

#: The longest delay: each step of it is a state of the kernel, moved at every time step.
_LONGEST_DELAY = 32


def make_plan(cell: BaseRecurrentCell, given: Given = NOTHING) -> Plan:
    """Trace the step of ``cell`` and derive its backward pass.

    Args:
        cell: whose step it is.
        given: what a call gives the step besides its input and states.

    Raises:
        UntraceableError: if the engine can't compile part of it; the message says which.
        StepError: if it breaks its declaration, as the reference would find.
    """
    return _Tracer(cell, given).plan()


class _Tracer(CellSource):
    """The values of a step's arguments as symbols, and the plan of the step."""

    def __init__(self, cell: BaseRecurrentCell, given: Given) -> None:
        super().__init__(cell)
        self.noise = noise_of(cell)
        self.parts = Assembly(cell.hidden_size, gaps=given.gaps, flags=given.flags)
        self.graph, self.vectors = self.parts.graph, self.parts.vectors
        self.maps, self.results = self.parts.maps, self.parts.results
        self._applied: dict[tuple[str, int], str] = {}  # its name, by block and argument
        self._across: dict[tuple[str, int, int], Symbol] = {}  # by operation, argument, width
        self.states = self.parts.states
        self.states |= zip(cell.state_names, cell.state_widths, strict=True)
        self.line: list[str] = []  # the states of the delay line, oldest first
        for argument in cell.signature.having(roles.DelayedRole):
            steps = self.states.pop(argument.name) // cell.output_size
            if steps > _LONGEST_DELAY:
                raise UntraceableError(f"a delay of more than {_LONGEST_DELAY} steps has no kernel")
            self.line = [f"{argument.name}.{k}" for k in range(steps)]
            self.states |= dict.fromkeys(self.line, cell.output_size)
        self.columns = self.parts.columns
        self.columns |= {b.name: b.stop - b.start for b in cell.layout.projected}
        self.inputs = len(self.columns)
        self.parts.factors |= self.noise.dropped
        if self.noise.drawn:
            self.parts.zoned |= {mask: self.states[name] for name, mask in self.noise.stays.items()}
        self.products = self._dense_products()

    def _dense_products(self) -> list[Product]:
        """Group the recurrent products: neighbours in both the weight and Z are one."""
        products: list[Product] = []
        names = list(self.columns)
        for run in self.cell.layout.runs:
            first = True
            for name in run.names:
                block = self.cell.layout.block(run.weight, name)
                if block is None or block.columns is None:
                    continue  # diagonal: an elementwise product in the step's graph
                adds = name in names and self.integrator.sums
                column = name if adds else self._second_column(name)
                self.columns.setdefault(column, block.stop - block.start)
                of = self.line[0] if run.of not in self.states else run.of
                heads = self.states[of] // block.columns
                last = products[-1] if products and not first else None
                order = list(self.columns)
                if (
                    last
                    and heads == 1
                    and last.adds == adds
                    and order.index(last.columns[-1]) + 1 == order.index(column)
                ):
                    products[-1] = replace(last, columns=(*last.columns, column))
                else:
                    weight = run.weight.name
                    factor = run.of if run.of in self.noise.dropped else None
                    if RESETS in self.parts.flags:
                        self.parts.cleared[of], factor = self.dropped(run.of, self.state(of)), None
                    products.append(
                        Product(weight, block.start, (column,), of, adds, heads, factor)
                    )
                first = False
        return products

    def _second_column(self, name: str) -> str:
        """The name of the column for a recurrent product that is not added to the input's."""
        return f"{name}.h" if name in self.columns else name

    def plan(self) -> Plan:
        cell = self.cell
        if MASKED in self.parts.flags and cell.signature.has_output:
            raise UntraceableError("a masked step has no kernel where the output is no state")
        try:
            result = cell.signature.call(type(cell).step, self.arguments())
        except StepError:
            raise
        except (TypeError, AttributeError, ValueError) as error:
            raise UntraceableError(f"its step can't be traced: {error}") from error
        nodes = self._returned(result)
        output = nodes.pop(0) if cell.signature.has_output else None
        names = list(self.states)
        nodes = [self._zoned_out(*pair) for pair in zip(names, nodes, strict=False)]
        # The delay line forgets its oldest step and takes the present state.
        nodes += [self.state(name).node for name in (*self.line[1:], names[0])][: len(self.line)]
        nodes = [self._unless_masked(*pair) for pair in zip(names, nodes, strict=True)]
        return self.parts.plan(
            nodes, output, cell.output_size, self.inputs, self.products, tuple(cell.numbers)
        )

    def _zoned_out(self, name: str, node: int) -> int:
        """Return the node of a state that may stay what it is."""
        mask = self.noise.stays.get(name)
        if mask is None:
            return node
        old, new, width = self.state(name), Symbol(self.graph, node), self.states[name]
        if not self.noise.drawn:
            rate = self.constant(ZONED + mask)
            return (rate * old + (1 - rate) * new).node
        stays = self.parts.leaf("k", mask, width) > 0
        return self.graph.op("where", stays.node, old.node, node)

    def _returned(self, result: object) -> list[int]:
        """Return the nodes of the step's results, checked against its declaration."""
        cell, owner = self.cell, type(self.cell).__name__
        values = returned(owner, cell.signature, result, (Symbol, Tensor))
        widths = (cell.output_size,) * cell.signature.has_output + cell.state_widths
        found = self.parts.widths()
        for name, value, width in zip(cell.signature.results, values, widths, strict=False):
            if isinstance(value, Tensor):
                raise UntraceableError(f"{name} is a tensor from outside the step")
            check_width(owner, name, found[value.node] or width, width)
        return [value.node for value in values]

    def state(self, name: str) -> Symbol:
        name = name if name in self.states else self.line[0]
        before = self.parts.leaf("s", name, self.states[name])
        if RESETS not in self.parts.flags:
            return before
        zero = self.graph.number(0)
        return Symbol(self.graph, self._where(RESETS, zero, before.node))

    def _where(self, flag: str, holds: int, otherwise: int) -> int:
        return self.graph.op("where", (self.parts.leaf("b", flag, None) > 0).node, holds, otherwise)

    def _unless_masked(self, name: str, node: int) -> int:
        """Return the node of a state that stays what it is at a masked step."""
        if MASKED not in self.parts.flags:
            return node
        return self._where(MASKED, self.state(name).node, node)

    def input(self) -> Symbol:
        return self.parts.leaf("x", "input", self.cell.input_size)

    def constant(self, name: str) -> Symbol:
        return self.parts.leaf("c", name, None)

    def factor(self, name: str) -> Symbol | None:
        width: int | None = self.noise.dropped.get(name)
        return None if width is None else self.parts.leaf("d", name, width)

    def gap(self, name: str) -> Symbol:
        return self.parts.leaf("x", "gap", None) if self.parts.gaps else self.constant(name)

    def scalar(self, name: str) -> Symbol:
        self.vectors[name] = Vector(((name, 0),), scalar=True)
        return self.parts.leaf("v", name, self.cell.hidden_size)

    def vector(self, weight: Weight, name: str) -> Symbol:
        block = self.cell.layout.block(weight, name)
        assert block is not None
        leaf = f"{weight.name}.{name}"
        self.vectors[leaf] = Vector(((weight.name, block.start),))
        return self.parts.leaf("v", leaf, block.stop - block.start)

    def projection(self, name: str) -> Symbol:
        return self.parts.leaf("z", name, self.columns[name])

    def recurrent(self, name: str, role: roles.ProductRole) -> Symbol | None:
        assert role.recurrent is not None
        block = self.cell.layout.block(role.recurrent, name)
        assert block is not None
        if block.columns is None:
            of = role.of or self.cell.state_names[0]
            read: Symbol = self.dropped(of, self.state(of))
            return self.vector(role.recurrent, name) * read
        if role.input is None:
            return self.projection(name)
        if self.integrator.sums:
            return None  # the loop adds the dense product to the projection in Z
        return self.projection(self._second_column(name))

    def biased(self, value: Symbol, name: str, weights: Sequence[Weight]) -> Symbol:
        bias = self._sum_of_biases(name, weights)
        return value if isinstance(bias, float) else value + bias

    def bias(self, name: str) -> Symbol | float:
        return self._sum_of_biases(name, tuple(self.cell.layout.named_biases))

    def _sum_of_biases(self, name: str, weights: Sequence[Weight]) -> Symbol | float:
        """Return the sum of an argument's biases for some weights; 0 if there are none."""
        parts, width = [], 0
        for weight in weights:
            block = self.cell.layout.bias_block(weight, name)
            if weight.bias is None or block is None or getattr(self.cell, weight.bias) is None:
                continue
            parts.append((weight.bias, block.start))
            width = block.stop - block.start
        if not parts:
            return 0.0
        self.vectors[f"bias.{name}"] = Vector(tuple(parts))
        return self.parts.leaf("v", f"bias.{name}", width)

    def check_mapped(self, name: str, value: Any, columns: int) -> None:
        if not isinstance(value, Symbol):
            raise UntraceableError(f"the map {name!r} is applied to a {type(value).__name__}")
        width = self.parts.widths()[value.node]
        check_mapped(type(self.cell).__name__, name, width or columns, columns)

    def multiplied(
        self, weight: Weight, names: Sequence[str], value: Symbol, columns: int
    ) -> tuple[Symbol, ...]:
        return tuple(self._multiplied(weight, name, value, columns) for name in names)

    def _multiplied(self, weight: Weight, name: str, value: Symbol, columns: int) -> Symbol:
        block = self.cell.layout.block(weight, name)
        assert block is not None
        if block.columns is None:
            return self.biased(self.vector(weight, name) * value, name, (weight,))
        key = name, value.node
        if key not in self._applied:  # applied to another value it is another product
            times = sum(1 for known, _ in self._applied if known == name)
            self._applied[key] = result = f"{name}.{times + 1}" if times else name
            self.results[result] = block.stop - block.start
            heads = columns // block.columns
            self.maps.append(Map((result,), weight.name, block.start, value.node, heads))
        result = self._applied[key]
        return self.biased(self.parts.leaf("m", result, self.results[result]), name, (weight,))

    def across(self, across: Across, name: str, value: Symbol, rows: str | None = None) -> Symbol:
        """A map without a weight."""
        width = self.parts.widths()[value.node] if isinstance(value, Symbol) else None
        check_mapped(type(self.cell).__name__, name, width, width or 0)
        assert width is not None
        wide = width if rows is None else self.option(rows)
        check_across(type(self.cell).__name__, across, name, width, wide)
        if across.may_keep and wide == width:
            return value
        key = across.name, value.node, wide
        if key not in self._across:
            self._across[key] = self.parts.across(across, value.node, wide)
        return self._across[key]
