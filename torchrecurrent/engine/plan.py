"""From a cell to what the kernel computes: traced, cut at maps, with its backward derived."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .. import roles
from ..activations import resolve_activation
from ..roles import INPUT, Kernel
from .derive import derive
from .graph import Graph, Leaf
from .trace import Symbol, UntraceableError

if TYPE_CHECKING:
    from ..cell import BaseRecurrentCell

__all__ = ["Map", "Plan", "Product", "make_plan"]


@dataclass(frozen=True)
class Product:
    """Neighbouring columns of Z that get the product of one state with rows of one kernel."""

    weight: str
    start: int  # first row of the kernel
    column: int  # first column of Z, in units of H
    count: int  # how many blocks of H
    state: str
    adds: bool  # to the input's projection, which is in Z already


@dataclass(frozen=True)
class Map:
    """A kernel that the step itself applies."""

    name: str
    weight: str
    start: int
    argument: int  # node


@dataclass
class Plan:
    """All that the emitter and the launcher know of a cell."""

    graph: Graph
    columns: tuple[str, ...]  # the affine arguments: those of the input first
    inputs: int  # how many of them have a part from the input
    states: tuple[str, ...]
    constants: tuple[str, ...]
    vectors: dict[str, tuple[tuple[str, int], ...]]  # leaf of kind v: parameters, first rows
    products: tuple[Product, ...]
    maps: tuple[Map, ...]
    new_states: tuple[int, ...]
    output: int | None  # node of an output that is no state
    gradients: dict[Leaf, int]

    @property
    def learned(self) -> tuple[str, ...]:
        """The vectors whose gradient the kernel sums up itself."""
        return tuple(name for name in self.vectors if Leaf("v", name) in self.gradients)


def make_plan(cell: BaseRecurrentCell) -> Plan:
    """Trace the step of ``cell`` and derive its backward pass.

    Raises:
        UntraceableError: something in it is beyond this engine; the message says what.
    """
    _refuse(cell)
    return _Tracer(cell).plan()


def _refuse(cell: BaseRecurrentCell) -> None:
    """What the kernels do not cover; each is one sentence for ``explain``."""
    if cell.integration == "multiplicative":
        raise UntraceableError("multiplicative integration has no kernel yet")
    if cell.num_heads != 1:
        raise UntraceableError("a block-diagonal recurrence has no kernel yet")
    if any(width != cell.hidden_size for width in cell.state_widths):
        raise UntraceableError("its states are not all as wide as hidden_size")
    if any(cell.signature.having(roles.DelayedRole)):
        raise UntraceableError("a delay line has no kernel yet")
    if any(cell.signature.having(roles.ScalarRole)):
        raise UntraceableError("a learned scalar has no kernel yet")
    if any(cell.signature.having(roles.RawRole)) and cell.input_size != cell.hidden_size:
        raise UntraceableError("the step reads its input, which is not as wide as the state")


class _Tracer:
    def __init__(self, cell: BaseRecurrentCell) -> None:
        self.cell = cell
        self.graph = Graph()
        self.vectors: dict[str, tuple[tuple[str, int], ...]] = {}
        self.products: list[Product] = []
        self.maps: list[Map] = []
        self.map_leaves: dict[int, int] = {}
        products = list(cell.signature.having(roles.ProductRole))
        inputs = [block.name for block in cell.layout.blocks(INPUT)]
        rest = [argument.name for argument in products if argument.name not in inputs]
        self.inputs = len(inputs)
        self.columns = (*inputs, *rest)

    def plan(self) -> Plan:
        cell, graph = self.cell, self.graph
        self._dense_products()
        arguments = [self._argument(a.name, a.role) for a in cell.signature.arguments]
        try:
            result = type(cell).step(*arguments)
        except (TypeError, AttributeError, ValueError) as error:
            raise UntraceableError(f"its step can't be traced: {error}") from error
        values = result if isinstance(result, tuple) else (result,)
        nodes = [self._node(value) for value in values]
        output = nodes.pop(0) if cell.signature.has_output else None
        seeds: dict[int, int] = {}
        for name, node in zip(cell.state_names, nodes, strict=True):
            self._seed(seeds, node, graph.leaf("g", name))
        self._seed(seeds, nodes[0] if output is None else output, graph.leaf("y", "output"))
        return Plan(
            graph,
            self.columns,
            self.inputs,
            cell.state_names,
            tuple(a.name for a in cell.signature.having(roles.ConstantRole)),
            self.vectors,
            tuple(self.products),
            tuple(self.maps),
            tuple(nodes),
            output,
            derive(graph, seeds, self.map_leaves),
        )

    def _seed(self, seeds: dict[int, int], node: int, gradient: int) -> None:
        seeds[node] = self.graph.op("add", seeds[node], gradient) if node in seeds else gradient

    def _node(self, value: object) -> int:
        if not isinstance(value, Symbol):
            raise UntraceableError("its step returns a number")
        return value.node

    def _symbol(self, kind: str, name: str) -> Symbol:
        return Symbol(self.graph, self.graph.leaf(kind, name))

    def _vector(self, kernel: Kernel, name: str) -> Symbol:
        """An argument's rows of a kernel that has one number for each unit."""
        block = self.cell.layout.block(kernel, name)
        assert block is not None
        leaf = f"{kernel.weight}.{name}"
        self.vectors[leaf] = ((kernel.weight, block.start),)
        return self._symbol("v", leaf)

    def _biased(self, value: Symbol, name: str, *kernels: Kernel | None) -> Symbol:
        """``value`` plus the sum of an argument's biases, where there are any."""
        parts = []
        for kernel in kernels:
            bias = None if kernel is None else kernel.bias
            block = None if kernel is None else self.cell.layout.block(kernel, name)
            if bias is not None and block is not None and getattr(self.cell, bias) is not None:
                parts.append((bias, block.start))
        if not parts:
            return value
        self.vectors[f"bias.{name}"] = tuple(parts)
        return value + self._symbol("v", f"bias.{name}")

    def _dense_products(self) -> None:
        """Group the recurrent products: neighbours in the kernel and in Z are one."""
        for run in self.cell.layout.runs:
            for k, name in enumerate(run.names):
                block = self.cell.layout.block(run.kernel, name)
                if block is None or block.columns is None:
                    continue  # diagonal: an elementwise product in the step's graph
                column = self.columns.index(name)
                adds = column < self.inputs
                last = self.products[-1] if self.products and k else None
                if last and last.column + last.count == column and last.adds == adds:
                    self.products[-1] = Product(
                        last.weight, last.start, last.column, last.count + 1, last.state, adds
                    )
                else:
                    weight = run.kernel.weight
                    self.products.append(Product(weight, block.start, column, 1, run.of, adds))

    def _argument(self, name: str, role: roles.Role) -> object:
        match role:
            case roles.StateRole():
                return self._symbol("s", name)
            case roles.RawRole():
                return self._symbol("x", "input")
            case roles.ConstantRole():
                return self._symbol("c", name)
            case roles.NonlinearityRole():
                return resolve_activation(name, getattr(self.cell, name))
            case roles.VectorRole(kernel=kernel):
                return self._vector(kernel, name)
            case roles.ProductRole(input=has_input, recurrent=recurrent, of=of):
                return self._product(name, has_input, recurrent, of)
            case roles.MapRole(kernel=kernel):
                return self._map(name, kernel)
        raise UntraceableError(f"the role of {name!r} has no kernel yet")

    def _product(
        self, name: str, has_input: Kernel | None, recurrent: Kernel | None, of: str | None
    ) -> Symbol:
        block = None if recurrent is None else self.cell.layout.block(recurrent, name)
        if recurrent is None or block is None or block.columns is not None:
            value = self._symbol("z", name)  # the loop adds dense products up in Z
        else:
            state = self._symbol("s", of or self.cell.state_names[0])
            value = self._vector(recurrent, name) * state
            if has_input is not None:
                value = self._symbol("z", name) + value
        return self._biased(value, name, has_input, recurrent)

    def _map(self, name: str, kernel: Kernel) -> Callable[[Symbol], Symbol]:
        block = self.cell.layout.block(kernel, name)

        def apply(value: Symbol) -> Symbol:
            if block is None:
                return value
            if block.columns is None:
                return self._biased(self._vector(kernel, name) * value, name, kernel)
            if any(each.name == name for each in self.maps):
                raise UntraceableError(f"the map {name!r} is applied twice")
            result = self._symbol("m", name)
            self.maps.append(Map(name, kernel.weight, block.start, value.node))
            self.map_leaves[result.node] = value.node
            return self._biased(result, name, kernel)

        return apply
