"""The two passes of a plan as data: the operations of a time step, in order, and their buffers.

Every backend prints or runs these operations; none decides what they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from torch import Tensor

from ...across import Across
from ..ir.graph import Leaf
from .buffers import Buffers, View, named_widths
from .names import Width
from .plan import Map, Plan

__all__ = [
    "Matrix",
    "Multiply",
    "Operation",
    "Program",
    "Segment",
    "Store",
    "Sum",
    "Total",
    "Units",
    "kahan",
    "lower",
    "segments_of",
]


@dataclass(frozen=True)
class Matrix:
    """Rows of a parameter that one pass multiplies with and the other with their transpose."""

    name: str
    weight: str
    start: int  # first row of the parameter
    rows: int
    heads: int  # blocks on the diagonal

    def slot(self, transposed: bool = False) -> str:
        """Its name in kernels."""
        return f"{'B' if transposed else 'W'}.{self.name}"

    def of(self, weights: Mapping[str, Tensor]) -> Tensor:
        return weights[self.weight][self.start : self.start + self.rows]


@dataclass(frozen=True)
class Multiply:
    """Writes or adds rows times a matrix or, in the backward pass, times its transpose.

    With ``factors`` the rows are multiplied with these first, and what the transpose gives, last.
    """

    matrix: Matrix
    source: View
    into: View
    adds: bool = False
    transposed: bool = False
    factors: View | None = None


@dataclass(frozen=True)
class Units:
    """Writes the result of an operation across the units of each row, or what it passes back.

    ``source_width`` and ``width`` are those of the values, of which a buffer may hold one number.
    """

    across: Across
    source: View
    into: View
    source_width: Width
    width: Width
    back: bool = False

    def apply(self, source: Tensor) -> Tensor:
        """Return the result for some rows."""
        function = self.across.gradient if self.back else self.across.value
        assert function is not None
        return function(source, self.width.units)


@dataclass(frozen=True)
class Total:
    """Writes the sum of each row."""

    source: View
    into: View


@dataclass(frozen=True)
class Store:
    """Writes the value of a node unit by unit."""

    node: int
    place: int  # of its width
    into: View


@dataclass(frozen=True)
class Sum:
    """Adds the value of a node to the gradient of a learned vector, over sequences and steps."""

    vector: str
    node: int
    place: int  # of its width


@dataclass(frozen=True)
class Segment:
    """The elementwise operations between two products."""

    name: str
    stores: Sequence[Store]
    sums: Sequence[Sum] = ()

    @property
    def _values(self) -> list[Store | Sum]:
        return [*self.stores, *self.sums]

    @property
    def nodes(self) -> list[int]:
        return [each.node for each in self._values]

    def by_width(self) -> Iterator[tuple[int, Segment]]:
        """Its parts, each with the values of one width, by the place of that width."""
        for place in dict.fromkeys(each.place for each in self._values):
            stores = [each for each in self.stores if each.place == place]
            yield place, Segment(self.name, stores, [s for s in self.sums if s.place == place])


Operation = Multiply | Units | Segment


@dataclass(frozen=True)
class Program:
    """The operations of a forward and a backward pass at each time step.

    Attributes:
        plan: the plan that it carries out.
        buffers: the buffers that the operations read and write.
        values: where the value of each leaf of the step is read.
        projection: projects the input into Z: at each step before the others, or for all at once.
        forward: the other operations, in order.
        backward: likewise; its steps go from the last to the first.
        data_gradient: passes the gradient of Z on to the input, after the others.
        gap_gradient: the gradient of the time since the step before, likewise.
    """

    plan: Plan
    buffers: Buffers
    values: Mapping[Leaf, View]
    projection: Multiply | None
    forward: Sequence[Operation]
    backward: Sequence[Operation]
    data_gradient: Multiply | None
    gap_gradient: Total | None = None

    @cached_property
    def products(self) -> list[Multiply]:
        """The products of the forward pass, that of the input first."""
        return [each for each in (self.projection, *self.forward) if isinstance(each, Multiply)]

    @cached_property
    def transposed(self) -> dict[Matrix, Multiply]:
        """The products of the backward pass, by their matrix."""
        found = (self.data_gradient, *self.backward)
        return {each.matrix: each for each in found if isinstance(each, Multiply)}


def segments_of(operations: Iterable[Operation]) -> list[Segment]:
    """Return the segments among operations; the last one of a pass comes after all maps."""
    return [each for each in operations if isinstance(each, Segment)]


def kahan(value: str, total: str, lost: str) -> tuple[str, str, str]:
    """Write Kahan's sum, which carries the rounding error over thousands of steps.

    Args:
        value: the text of the number to add.
        total: the text of the sum so far.
        lost: the text of its rounding error.

    Returns:
        The texts of the new values of ``part``, then of ``total``, and of the rounding error.
    """
    return f"{value} - {lost}", f"{total} + part", f"(total - {total}) - part"


def lower(plan: Plan, apart: bool = False) -> Program:
    """The passes of a plan.

    Args:
        plan: of the step.
        apart: products are computed outside the emitted code, see :class:`.Buffers`.
    """
    b = Buffers(plan, apart)
    owners = {name: (each.name, k) for each in plan.maps for k, name in enumerate(each.names)}
    values = {
        Leaf("x", "input"): b.data.part(0),
        **({Leaf("x", "gap"): b.data.part(1)} if plan.gaps else {}),
        Leaf("y", "output"): View(b.d_output),
        **{Leaf("z", name): b.affine.part(k) for k, name in enumerate(plan.columns)},
        **{Leaf("s", name): View(each) for name, each in b.before.items()},
        **{Leaf("d", name): View(each) for name, each in b.factors.items()},
        **{Leaf("k", name): View(each) for name, each in b.zoned.items()},
        **{Leaf("b", name): View(each) for name, each in b.flags.items()},
        **{Leaf("g", name): View(each) for name, each in b.d_states.items()},
        **{Leaf("a", name): View(each) for name, each in b.d_arguments.items()},
        **{Leaf("a", f"before {name}"): View(each) for name, each in b.d_cleared.items()},
        **{
            Leaf("m", name): b.results[owner].part(k)
            for name, (owner, k) in owners.items()
            if owner in b.results
        },
        **dict(_copies(plan, b)),
    }
    projection = data_gradient = None
    if plan.inputs:
        into, received = View(b.affine, None, plan.inputs), View(b.d_affine, None, plan.inputs)
        matrix = Matrix("input", "weight_ih", 0, into.units, 1)
        projection = Multiply(matrix, b.data.part(0), into)
        data_gradient = Multiply(matrix, received, b.d_data.part(0), plan.raw_gradient, True)
    forward: list[Operation] = list(_cleared(plan, b, back=False))
    backward: list[Operation] = [_gradients(plan, b)]
    passing: set[str] = set()  # the states to whose gradients a product has passed something on
    for k, product in enumerate(plan.products):
        first = list(plan.columns).index(product.columns[0])
        into = View(b.affine, first, first + len(product.columns))
        matrix = Matrix(str(k), product.weight, product.start, into.units, product.heads)
        factors = None if product.factor is None else View(b.factors[product.factor])
        state, adds = product.state, True
        source, passed = View(b.before[state]), View(b.d_states[state])
        if state in plan.cleared:
            source, passed = View(b.cleared[state]), View(b.d_cleared[state])
            adds = state in passing
            passing.add(state)
        forward.append(Multiply(matrix, source, into, product.adds, factors=factors))
        received = replace(into, buffer=b.d_affine)
        backward.append(Multiply(matrix, received, passed, adds, True, factors))
    backward += _cleared(plan, b, back=True)
    for each in plan.maps:
        place = plan.node_widths[each.argument]
        applied, transpose = _map(plan, b, each)
        store = Store(each.argument, place, View(b.arguments[each.name]))
        forward += [Segment(f"forward {each.name}", [store]), *applied]
        if each.passes:
            passed_on = b.d_results[each.name]
            parts = [
                Store(plan.gradient("m", name), plan.mapped[name], passed_on.part(k))
                for k, name in enumerate(each.names)
            ]
            backward = [Segment(f"backward {each.name}", parts), *transpose, *backward]
    forward.append(_results(plan, b))
    totals = [Total(View(each), b.d_data.part(1)) for each in b.d_gaps]
    return Program(plan, b, values, projection, forward, backward, data_gradient, *totals)


def _cleared(plan: Plan, b: Buffers, back: bool) -> Iterator[Segment]:
    """Yield what products read of states, where sequences may begin anew, or what they pass on."""
    into = b.d_states if back else b.cleared
    stores = [
        Store(each.gradient if back else each.value, plan.states[name], View(into[name]))
        for name, each in plan.cleared.items()
    ]
    if stores:
        yield Segment("passed" if back else "cleared", stores)


def _copies(plan: Plan, b: Buffers) -> Iterator[tuple[Leaf, View]]:
    """Yield what is read where the units are that it copies."""
    for each in plan.maps:
        if each.across is not None and each.name not in b.results:
            yield Leaf("m", each.name), View(b.arguments[each.name], copies=each.across.copies)
        if each.across is not None and each.passes and each.name not in b.d_arguments:
            received = View(b.d_results[each.name], copies=each.across.passes_copies)
            yield Leaf("a", each.name), received


def _map(plan: Plan, b: Buffers, each: Map) -> tuple[list[Operation], list[Operation]]:
    """Apply a map in the forward pass; pass the gradient of its result back, if any gets on.

    Copies are not made.
    """
    forward: list[Operation] = []
    backward: list[Operation] = []
    into, passed = b.results.get(each.name), b.d_arguments.get(each.name)
    if each.across is not None:
        named = named_widths(plan)
        widths = named[plan.node_widths[each.argument]], named[plan.mapped[each.name]]
        if into is not None:
            forward.append(Units(each.across, View(b.arguments[each.name]), View(into), *widths))
        if passed is not None:
            views = View(b.d_results[each.name]), View(passed)
            backward.append(Units(each.across, *views, *widths[::-1], back=True))
        return forward, backward
    assert each.weight is not None
    assert into is not None
    matrix = Matrix(f"map.{each.name}", each.weight, each.start, into.units, each.heads)
    forward.append(Multiply(matrix, View(b.arguments[each.name]), View(into)))
    if passed is not None:
        views = View(b.d_results[each.name]), View(passed)
        backward.append(Multiply(matrix, *views, transposed=True))
    return forward, backward


def _results(plan: Plan, b: Buffers) -> Segment:
    """The last segment of a forward step: the new states and the output."""
    states = zip(plan.states.values(), plan.new_states, b.states.values(), strict=True)
    stores = [Store(node, place, View(buffer)) for place, node, buffer in states]
    if plan.output is not None:
        stores.append(Store(plan.output, plan.output_width, View(b.output)))
    return Segment("forward", stores)


def _gradients(plan: Plan, b: Buffers) -> Segment:
    """The last segment of a backward step, before the products."""
    stores = [
        Store(plan.gradient("z", name), place, b.d_affine.part(k))
        for k, (name, place) in enumerate(plan.columns.items())
    ]
    stores += [
        Store(plan.gradient("s", name), place, View(b.d_states[name]))
        for name, place in plan.states.items()
    ]
    if plan.raw_gradient:
        node = plan.gradient("x", "input")
        stores.append(Store(node, plan.node_widths[node], b.d_data.part(0)))
    for each in b.d_gaps:
        node = plan.gradient("x", "gap")
        stores.append(Store(node, plan.node_widths[node], View(each)))
    sums = [Sum(name, plan.gradient("v", name), plan.vector_width(name)) for name in plan.learned]
    return Segment("backward", stores, sums)
