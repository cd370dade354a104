"""From the sources of a module's values to the graph of its step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from ...across import ACROSS, Copies
from ..ir.trace import Symbol, UntraceableError
from ..program.assembly import Assembly
from ..program.plan import Map, Vector
from .capture import Call
from .reading import Reading
from .values import Applied, Constant, Given, Joined, Own, Product, Single, Source

__all__ = ["Key", "Lowering"]

_aten = torch.ops.aten


@dataclass(frozen=True)
class Key:
    """Columns of the product of the input, or of a state, with a matrix."""

    of: str
    matrix: Node
    start: int
    stop: int
    whole: int  # columns of the matrix

    @property
    def name(self) -> str:
        return f"{self.of}.{self.matrix.name}.{self.start}.{self.stop}"


class Lowering:
    """The graph of a step, from the sources of its values; one attempt at it.

    Args:
        reading: the values.
        call: the sizes.
        merged: columns of a state's product that the loop adds to those of the input's.
    """

    def __init__(self, reading: Reading, call: Call, merged: Mapping[Key, Key]) -> None:
        self.sources, self.fixed, self.merged = reading.sources, reading.fixed, merged
        self.states = [f"s{k}" for k in range(len(call.widths))]
        self.parts = Assembly(call.widths[0])
        self.parts.states |= zip(self.states, call.widths, strict=True)
        self.input_size = call.input_size
        self.keys: dict[Key, Symbol] = {}
        self._known: dict[tuple[Source, bytes], Symbol | float] = {}
        self.matrices: dict[Node, None] = {}
        self._vectors: dict[str, Node] = {}
        self._map_weights: dict[str, Node] = {}
        self._maps: dict[tuple[Node, int, int, int], str] = {}
        new = [self.sources.units(each.places, "the new state") for each in reading.states]
        for k, (units, width) in enumerate(zip(new, call.widths, strict=True)):
            if len(units) != width:
                raise UntraceableError(
                    f"its state {k} is {width} wide before a step and {len(units)} after"
                )
        output = self.sources.units(reading.output.places, "the output")
        self.output_size = len(output)
        self.nodes = [self._node(units) for units in new]
        self.output = None if output.equal(new[0]) else self._node(output)

    def _node(self, units: Tensor) -> int:
        found = self._symbol(units)
        return found.node if isinstance(found, Symbol) else self.parts.graph.number(found)

    # From units to symbols.

    def _run(self, units: Tensor) -> tuple[Source, Tensor]:
        runs = self.sources.runs(units)
        kinds = {each.number if isinstance(each, Constant) else id(each) for each, _ in runs}
        if len(kinds) > 1:
            raise UntraceableError("its forward puts values side by side other than for a product")
        return runs[0][0], torch.cat([each for _, each in runs])

    def _symbol(self, units: Tensor) -> Symbol | float:
        return self._symbol_of(*self._run(units))

    def _made(self, source: Source, index: Tensor) -> Symbol | float:
        match source:
            case Constant():
                return source.number
            case Given():
                return self._given(source, index)
            case Own():
                return self._vector([(source, index)])
            case Single():
                node = self._node(source.argument)
                return self.parts.across(source.across, node, len(index))
            case Joined():
                if source.width > 1 and not index.equal(torch.arange(source.width)):
                    raise UntraceableError("its forward takes sums over units apart")
                node = self._node(source.argument)
                made = self.parts.across(source.across, node, source.width)
                if len(index) == source.width:
                    return made
                return self.parts.across(ACROSS["tiled"], made.node, len(index))  # one number
            case Applied(name="add"):
                return self._sum(self._terms(source, index))
            case Applied():
                return self._call(source, index)
        return self._sum(self._terms(source, index))

    def _given(self, source: Given, index: Tensor) -> Symbol:
        if index.equal(torch.arange(source.width)):
            if source.name == "input":
                return self.parts.leaf("x", "input", source.width)
            return self.parts.leaf("s", f"s{source.name}", source.width)
        if source.name != "input":
            if not index.any():  # a state that is one number, or the first unit, for all units
                state = self.parts.leaf("s", f"s{source.name}", source.width)
                return self.parts.across(ACROSS["first"], state.node, len(index))
            raise UntraceableError("its forward takes a state apart")
        if not self.fixed.given:
            raise UntraceableError("its forward takes its input apart and has no parameters")
        one = next(iter(self.fixed.given.values()))
        matrix = self.fixed.call(_picked, one, index.tolist(), source.width)
        return self._column(Key("x", matrix, 0, len(index), len(index)))

    def _call(self, source: Applied, index: Tensor) -> Symbol | float:
        def argument(value: Any) -> Any:
            return self._symbol(value[index]) if isinstance(value, Tensor) else value

        args = [argument(each) for each in source.arguments]
        options = {key: argument(each) for key, each in source.options.items()}
        if not any(isinstance(each, Symbol) for each in (*args, *options.values())):
            graph = self.parts.graph
            args[0] = Symbol(graph, graph.number(args[0]))
        return Symbol._call(source.name, args, options, method=False)

    def _vector(self, parts: list[tuple[Own, Tensor]]) -> Symbol:
        """The sum of some of the module's own numbers."""
        (_, index), *_ = parts
        width, scalar = len(index), len(parts) == 1 and _is_one(index)
        sources = []
        for own, each in parts:
            node = own.node
            if own.dims != 1:
                node = self.fixed.call(_aten.reshape.default, node, (-1,))
            first = int(each[0])
            if not scalar and not _is_slice(each):
                node = self.fixed.call(_take, node, 0, each.tolist())
                first = 0
            name = f"vector.{node.name}"
            self._vectors[name] = node
            sources.append((name, first))
        leaf = "+".join(f"{name}.{start}" for name, start in sources) + f":{width}"
        self.parts.vectors[leaf] = Vector(tuple(sources), scalar)
        return self.parts.leaf("v", leaf, width)

    # Sums: the loop adds products, and the numbers of biases are added up beforehand.

    def _terms(self, source: Source, index: Tensor) -> list[Symbol | float | tuple[Own, Tensor]]:
        match source:
            case Product():
                return [*self._products(source, index)]
            case Own() if _is_slice(index):
                return [(source, index)]
            case Applied(name="add") if self._sums_products(source):
                return [
                    term
                    for each in source.arguments
                    for term in (
                        self._terms(*self._run(each[index]))
                        if isinstance(each, Tensor)
                        else [float(each)]
                    )
                ]
            case Applied(name="add"):
                return [self._call(source, index)]
        return [self._symbol_of(source, index)]

    def _symbol_of(self, source: Source, index: Tensor) -> Symbol | float:
        key = (source, index.numpy().tobytes())
        if key not in self._known:
            how, copied = (None, index) if isinstance(source, Constant | Own) else _copied(index)
            value = self._made(source, index) if how is None else self._symbol_of(source, copied)
            if how is not None and isinstance(value, Symbol):
                value = self.parts.across(ACROSS[how], value.node, len(index))
            self._known[key] = value
        return self._known[key]

    def _sums_products(self, source: Source) -> bool:
        if isinstance(source, Product):
            return True
        if not isinstance(source, Applied) or source.name != "add":
            return False
        return any(
            self._sums_products(each)
            for argument in source.arguments
            if isinstance(argument, Tensor)
            for each, _ in self.sources.runs(argument)
        )

    def _sum(self, terms: Iterable[Symbol | float | tuple[Own, Tensor]]) -> Symbol | float:
        given = list(terms)
        products = [each for each in given if isinstance(each, Symbol) and self._is_column(each)]
        products.sort(key=lambda each: not self._leaf_name(each).startswith("x."))
        biases = [each for each in given if isinstance(each, tuple)]
        rest = [
            each
            for each in given
            if not isinstance(each, tuple) and not any(each is known for known in products)
        ]
        made: list[Symbol | float] = [*products]
        if biases:
            made.append(self._vector(biases))
        made += rest
        total = made[0]
        for each in made[1:]:
            total = total + each
        return total

    def _is_column(self, symbol: Symbol) -> bool:
        leaf = self.parts.graph.nodes[symbol.node].leaf
        return leaf is not None and leaf.kind == "z"

    def _leaf_name(self, symbol: Symbol) -> str:
        leaf = self.parts.graph.nodes[symbol.node].leaf
        assert leaf is not None
        return leaf.name

    def _column(self, key: Key) -> Symbol:
        self.matrices.setdefault(key.matrix)
        self.keys[key] = self.parts.leaf("z", key.name, key.stop - key.start)
        return self.keys[key]

    def _products(self, source: Product, index: Tensor) -> list[Symbol | float]:
        """The products of the parts of a value with the rows of a matrix that they meet."""
        found: list[Symbol | float] = []
        start, inner = 0, len(source.argument)
        for part, units in self.sources.runs(source.argument):
            stop = start + len(units)
            matrix = self.fixed.rows(source.matrix, start, stop, inner)
            if isinstance(part, Given) and not units.equal(torch.arange(part.width)):
                matrix = self.fixed.call(_spread, matrix, units.tolist(), part.width)
            first, whole = int(index[0]), source.width
            if not _is_slice(index):
                matrix = self.fixed.call(_take, matrix, 1, index.tolist())
                first, whole = 0, len(index)
            found += self._product(part, units, matrix, (first, first + len(index), whole))
            start = stop
        return found

    def _product(
        self, part: Source, units: Tensor, matrix: Node, columns: tuple[int, int, int]
    ) -> list[Symbol | float]:
        if isinstance(part, Constant) and part.number == 0:
            return []
        if isinstance(part, Given):
            key = Key("x" if part.name == "input" else f"s{part.name}", matrix, *columns)
            self.matrices.setdefault(matrix)
            return [] if key in self.merged else [self._column(key)]
        argument = self._symbol_of(part, units)
        if not isinstance(argument, Symbol) or argument.number is not None:
            raise UntraceableError("its forward multiplies a number with a matrix")
        start, stop, _ = columns
        known = (matrix, start, stop, argument.node)
        if known not in self._maps:
            base, first = self.fixed.origin(self.fixed.call(_aten.t.default, matrix))
            name, weight = f"map.{len(self._maps)}", f"weight.{base.name}"
            self._map_weights[weight] = base
            self._maps[known] = name
            self.parts.results[name] = stop - start
            self.parts.maps.append(Map((name,), weight, first + start, argument.node, 1))
        return [self.parts.leaf("m", self._maps[known], stop - start)]

    @property
    def roots(self) -> list[int]:
        """The nodes that are wanted: new states, arguments of maps, an output that is no state."""
        maps = [each.argument for each in self.parts.maps]
        return [*self.nodes, *maps, *([] if self.output is None else [self.output])]

    @property
    def parameters(self) -> dict[str, Node]:
        """What the kernel takes besides the products of input and states."""
        return self._map_weights | self._vectors


def _is_slice(index: Tensor) -> bool:
    return index.equal(torch.arange(int(index[0]), int(index[0]) + len(index)))


def _is_one(index: Tensor) -> bool:
    """Whether one number stands in several places."""
    return len(index) > 1 and bool((index == index[0]).all())


def _take(tensor: Tensor, dim: int, index: list[int]) -> Tensor:
    return tensor.index_select(dim, torch.tensor(index, device=tensor.device))


def _picked(like: Tensor, units: list[int], width: int) -> Tensor:
    """The matrix that picks some units of a value."""
    return torch.eye(width, dtype=like.dtype, device=like.device)[:, units]


def _spread(matrix: Tensor, units: list[int], width: int) -> Tensor:
    """Rows of a matrix at the places of some units among ``width``, zeros elsewhere."""
    index = torch.tensor(units, device=matrix.device)
    return matrix.new_zeros(width, matrix.size(1)).index_add(0, index, matrix)


def _copied(index: Tensor) -> tuple[Copies | None, Tensor]:
    """Tell how several units are copied, each as often as the others, and which they are."""
    rows = len(index)
    if rows and not bool((index == index[0]).all()):
        for count in (each for each in range(rows // 2, 1, -1) if rows % each == 0):
            beside, below = index.view(-1, count), index.view(count, -1)
            if bool((beside == beside[:, :1]).all()):
                return "repeated", beside[:, 0]
            if bool((below == below[:1]).all()):
                return "tiled", below[0]
    return None, index
