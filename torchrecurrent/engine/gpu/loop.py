"""The loop over the time steps of an elementwise recurrence: what it carries, computes and writes.

Two loops a width: forward the states are carried, backward their gradients; the lines that
:mod:`.elementwise` and :mod:`.scan` make of them are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..ir.graph import Leaf
from ..program.buffers import Before, Buffer, Rows, View
from ..program.lower import Program, Segment, Store, segments_of
from ..program.names import extent
from .text import Function, indented

__all__ = ["Held", "Loop", "backward_loop", "forward_loop", "hold"]


@dataclass(frozen=True)
class Held:
    """A register that is carried from step to step."""

    register: str
    leaf: Leaf  # what the step knows it as
    first: Buffer  # where its first value is
    last: Buffer  # where its last value goes
    node: int  # its value after the step


@dataclass(frozen=True)
class Loop:
    """A direction, for the units of one width."""

    program: Program
    place: int
    held: Sequence[Held]
    step: Segment  # what is written, and added up

    @property
    def name(self) -> str:
        return self.step.name

    @property
    def nodes(self) -> list[int]:
        """All that a step computes."""
        return [*self.step.nodes, *(each.node for each in self.held)]

    def over(self, start: str, stop: str, body: Iterable[str], stages: str = "") -> list[str]:
        """A loop over some of the steps, the last of the sequence first if it is backward."""
        counter = "back" if self.name == "backward" else "t"
        ahead = f", num_stages={stages}" if stages else ""
        lines = ["t = T - 1 - back"] if self.name == "backward" else []
        lines += [*self._rows(), *body]
        return [f"for {counter} in tl.range({start}, {stop}{ahead}):", *indented(lines)]

    def _rows(self) -> list[str]:
        """Return the lines that find the rows of step t and, backwards, of the step before."""
        equal = ["row, active = t * many, inside"]
        ragged = ["row = tl.load(offsets + t)", "active = inside & (n < tl.load(sizes + t))"]
        if self.name == "backward":
            equal.append("before = tl.maximum(row - many, 0)")
            ragged.append("before = tl.load(offsets + tl.maximum(t - 1, 0))")
        return ["if sizes is None:", *indented(equal), "else:", *indented(ragged)]

    def starts(self, function: Function) -> list[str]:
        """Loads what is carried into the first step."""
        return [
            f"{each.register} = {function.load(View(each.first), 'n', 'inside')}"
            for each in self.held
        ]

    def compute(self, function: Function, nodes: Sequence[int], first: dict[str, str]) -> list[str]:
        """Lines of a step that give nodes their values.

        Args:
            function: that they are a part of.
            nodes: the values.
            first: is given the registers that they want loaded before the loop, and how.
        """
        return function.compute(nodes, lambda leaf: self._value(function, leaf, first))

    def _value(self, function: Function, leaf: Leaf, first: dict[str, str]) -> str:
        for each in self.held:
            if each.leaf == leaf:
                return each.register
        view = self.program.values[leaf]
        if leaf.kind == "d":  # the same at all steps
            register = f"d{list(self.program.plan.factors).index(leaf.name)}"
            first[register] = function.load(view, "n", "inside")
            return register
        if not isinstance(view.buffer, Before):
            return function.load(view, "row + n", "active")
        # A state, in the backward pass.
        register = f"f{list(self.program.plan.states).index(leaf.name)}"
        first[register] = function.load(View(view.buffer.first), "n", "inside")
        # At the first step these are rows of it, which nobody uses.
        history = function.load(View(view.buffer.after), "before + n", "active")
        return f"tl.where(t > 0, {history}, {register})"

    def always(self, store: Store) -> bool:
        """Whether a value is wanted without gradients too; else it is a state's."""
        kept = [each.last for each in self.held if each.last.rows is Rows.KEPT]
        return store.into.buffer not in kept


def forward_loop(program: Program, place: int) -> Loop:
    """Carries the states; writes them, and what the output needs or, without maps, the output."""
    b = program.buffers
    *arguments, last = segments_of(program.forward)
    states, output = last.stores[: len(b.states)], last.stores[len(b.states) :]
    held = [
        Held(f"s{k}", Leaf("s", name), b.first[name], b.states[name], state.node)
        for k, (name, state) in enumerate(zip(b.states, states, strict=True))
    ]
    after = [store for each in arguments for store in each.stores] or output
    return _loop(program, place, held, Segment("forward", [*states, *after]))


def backward_loop(program: Program, place: int) -> Loop:
    """Carries the gradients of the states; writes those of Z and of the input; adds up others."""
    b = program.buffers
    last = segments_of(program.backward)[-1]
    passed = {each.into.buffer: each.node for each in last.stores}
    held = [
        Held(f"g{k}", Leaf("g", name), buffer, b.d_first[name], passed[buffer])
        for k, (name, buffer) in enumerate(b.d_states.items())
    ]
    stores = [each for each in last.stores if each.into.buffer not in b.d_states.values()]
    return _loop(program, place, held, Segment("backward", stores, last.sums))


def _loop(program: Program, place: int, held: Sequence[Held], step: Segment) -> Loop:
    """The part of a loop that has one width: what it carries, computes and writes."""
    here = [each for each in held if extent(each.first.columns) == f"w{place}"]
    return Loop(program, place, here, dict(step.by_width()).get(place, Segment(step.name, ())))


def hold(values: Sequence[tuple[str, str]]) -> list[str]:
    """Registers take new values; those of sequences that have ended stay as they are."""
    lines = [f"{name} = {value}" for name, value in values]
    ragged = [f"{name} = tl.where(active, {value}, {name})" for name, value in values]
    return ["if sizes is None:", *indented(lines), "else:", *indented(ragged)] if values else []
