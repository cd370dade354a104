"""What a loop over the time steps of an elementwise recurrence carries, computes and writes.

Two loops a width: forward the states are carried, backward their gradients; the lines that
:mod:`.elementwise` and :mod:`.scan` make of them are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..cpu.addresses import Addresses
from ..ir.graph import Leaf
from ..program.plan import Plan
from .text import Function, indented

__all__ = ["Held", "Loop", "Result", "backward_loop", "forward_loop", "hold"]


@dataclass(frozen=True)
class Held:
    """What a register carries from step to step."""

    register: str
    leaf: Leaf  # what the step knows it as
    slot: str  # where its first value is
    last: str  # where its last value goes
    node: int  # its value after the step


@dataclass(frozen=True)
class Result:
    """What is written at each step."""

    slot: str
    stride: str
    offset: str
    node: int
    always: bool = True  # or only if it is kept


@dataclass(frozen=True)
class Loop:
    """A direction, for the units of one width."""

    plan: Plan
    place: int
    backward: bool
    held: Sequence[Held]
    results: Sequence[Result]
    sums: Sequence[tuple[str, int]] = ()  # learned vectors: a node added up over the steps

    @property
    def name(self) -> str:
        return "backward" if self.backward else "forward"

    @property
    def width(self) -> str:
        return f"w{self.place}"

    @property
    def nodes(self) -> list[int]:
        """All that a step computes."""
        return [
            *(each.node for each in self.results),
            *(each.node for each in self.held),
            *(node for _, node in self.sums),
        ]

    def over(self, start: str, stop: str, body: Iterable[str], stages: str = "") -> list[str]:
        """A loop over some of the steps, the last of the sequence first if it is backward."""
        counter = "back" if self.backward else "t"
        ahead = f", num_stages={stages}" if stages else ""
        lines = ["t = T - 1 - back"] if self.backward else []
        lines += [*self._rows(), *body]
        return [f"for {counter} in tl.range({start}, {stop}{ahead}):", *indented(lines)]

    def _rows(self) -> list[str]:
        """Where the rows of step t begin and, for the backward pass, those of the step before."""
        equal = ["row, active = t * many, inside"]
        ragged = ["row = tl.load(offsets + t)", "active = inside & (n < tl.load(sizes + t))"]
        if self.backward:
            equal.append("before = tl.maximum(row - many, 0)")
            ragged.append("before = tl.load(offsets + tl.maximum(t - 1, 0))")
        return ["if sizes is None:", *indented(equal), "else:", *indented(ragged)]

    def starts(self, function: Function) -> list[str]:
        """Loads what is carried into the first step."""
        return [
            f"{each.register} = {function.load(each.slot, 'n', self.width, '0', 'inside')}"
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
        plan, where, row = self.plan, function.where, "row + n"
        for each in self.held:
            if each.leaf == leaf:
                return each.register
        match leaf.kind:
            case "z":
                stride = where.columns(plan.columns)
                return function.load("Z", row, stride, where.column(leaf.name), "active")
            case "x":
                return function.load("X", row, "I", "0", "active")
            case "y":
                return function.load("dY", row, f"w{plan.output_width}", "0", "active")
            case "a":
                return function.load(f"dV.{leaf.name}", row, self.width, "0", "active")
            case "s":  # in the backward pass
                register = f"f{list(plan.states).index(leaf.name)}"
                first[register] = function.load(f"S0.{leaf.name}", "n", self.width, "0", "inside")
                # At the first step these are rows of it, which nobody uses.
                history = function.load(f"S.{leaf.name}", "before + n", self.width, "0", "active")
                return f"tl.where(t > 0, {history}, {register})"
        raise AssertionError(leaf)


def forward_loop(plan: Plan, place: int) -> Loop:
    """Carries the states; writes them, and the output if that is none of them."""
    output = next(iter(plan.states)) if plan.output is None else None
    held = [
        Held(f"s{k}", Leaf("s", name), f"S0.{name}", f"S.{name}", plan.new_states[k])
        for k, (name, width) in enumerate(plan.states.items())
        if width == place
    ]
    results = [
        Result(each.last, f"w{place}", "0", each.node, each.leaf.name == output) for each in held
    ]
    for each in plan.maps:  # after the loop they give what the output needs
        if plan.node_widths[each.argument] == place:
            results.append(Result(f"V.{each.name}", f"w{place}", "0", each.argument))
    if plan.output is not None and plan.output_width == place and not plan.maps:
        results.append(Result("Y", f"w{place}", "0", plan.output))
    return Loop(plan, place, False, held, results)


def backward_loop(plan: Plan, place: int) -> Loop:
    """Carries the gradients of the states; writes those of Z and of the input; adds up others."""
    where = Addresses(plan)
    columns = where.columns(plan.columns)

    results = [
        Result("dZ", columns, where.column(name), plan.gradient("z", name))
        for name, width in plan.columns.items()
        if width == place
    ]
    if plan.raw_gradient:
        node = plan.gradient("x", "input")
        if plan.node_widths[node] == place:
            results.append(Result("dX", "I", "0", node))
    held = [
        Held(f"g{k}", Leaf("g", name), f"G.{name}", f"G0.{name}", plan.gradient("s", name))
        for k, (name, width) in enumerate(plan.states.items())
        if width == place
    ]
    sums = [
        (name, plan.gradients[Leaf("v", name)])
        for name in plan.learned
        if plan.vector_width(name) == place
    ]
    return Loop(plan, place, True, held, results, sums)


def hold(values: Sequence[tuple[str, str]]) -> list[str]:
    """Registers take new values; those of sequences that have ended stay as they are."""
    lines = [f"{name} = {value}" for name, value in values]
    ragged = [f"{name} = tl.where(active, {value}, {name})" for name, value in values]
    return ["if sizes is None:", *indented(lines), "else:", *indented(ragged)] if values else []
