"""Writes the kernels of a dense recurrence: those between the products of one time step."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..ir.graph import Leaf
from ..program.plan import Map, Plan
from .text import Function, Spec

__all__ = ["Step", "emit_readouts", "emit_steps", "summed_rows"]

#: The sequences of the step; where its rows begin in what has a row for each step, and in what
#: has one only if it is kept; the same for the states before, the output's and others.
_NUMBERS = ("N", "row", "kept", "before", "before_kept")


@dataclass(frozen=True)
class Step:
    """A node, and where its rows go."""

    node: int
    place: int  # of its width
    slot: str
    stride: str
    row: str
    offset: str = "0"


def summed_rows(plan: Plan) -> dict[str, tuple[str, str]]:
    """The learned vectors whose gradient is a column of dZ or dM, summed over its rows.

    Returns:
        By the vector's name: ``"z"`` and the column, or ``"m"`` and the part of a map.
    """
    found = {}
    rows = {node: leaf for leaf, node in plan.gradients.items() if leaf.kind in "zm"}
    for name in plan.learned:
        leaf = rows.get(plan.gradients[Leaf("v", name)])
        if leaf is not None and not plan.vectors[name].scalar:
            found[name] = (leaf.kind, leaf.name)
    return found


def emit_readouts(plan: Plan, real: torch.dtype, narrow: bool) -> tuple[str, dict[str, list[Spec]]]:
    """Of an elementwise plan with maps: the kernels of the output and of what the maps receive.

    They are those of a step, and serve all steps at once.
    """
    assert plan.output is not None
    writer = _Writer(plan, real, narrow)
    width = f"w{plan.output_width}"
    writer.add("readout", [Step(plan.output, plan.output_width, "Y", width, "row + n")])
    for each in plan.maps:
        writer.add_received(each)
    return "\n\n".join(writer.texts), writer.found


def emit_steps(plan: Plan, real: torch.dtype, narrow: bool) -> tuple[str, dict[str, list[Spec]]]:
    """The text, and by name the kernels of each segment: one for each width.

    Args:
        narrow: tensors with a row for each step have fewer bits than ``real``; a state is
            carried from step to step in ``real`` besides.
    """
    writer = _Writer(plan, real, narrow)
    for each in plan.maps:
        place = plan.node_widths[each.argument]
        argument = Step(each.argument, place, f"V.{each.name}", f"w{place}", "kept + n")
        writer.add(f"forward {each.name}", [argument])
    writer.add("forward", writer.new_states())
    for each in plan.maps:
        writer.add_received(each)
    writer.add("backward", *writer.gradients())
    return "\n\n".join(writer.texts), writer.found


class _Writer:
    def __init__(self, plan: Plan, real: torch.dtype, narrow: bool) -> None:
        self.plan, self.real, self.narrow = plan, real, narrow
        self.where = Function(plan, real, "", 0).where
        self.texts: list[str] = []
        self.found: dict[str, list[Spec]] = {}

    def add(self, name: str, results: list[Step], sums: tuple[str, ...] = ()) -> None:
        """A segment."""
        plan, specs = self.plan, []
        widths = {k: plan.vector_width(k) for k in sums}
        for place in dict.fromkeys([*(each.place for each in results), *widths.values()]):
            function = Function(plan, self.real, f"segment_{len(self.texts)}", place)
            here = [each for each in results if each.place == place]
            vectors = [k for k in sums if widths[k] == place]
            self.texts.append(self._text(function, name, here, vectors))
            specs.append(function.spec())
        self.found[name] = specs

    def add_received(self, each: Map) -> None:
        """The segment that gives a map's results their gradients."""
        plan, where = self.plan, self.where
        results = [
            Step(
                plan.gradient("m", name),
                plan.mapped[name],
                f"dM.{each.name}",
                where.result(each.names),
                "row + n",
                where.result(each.names[:k]),
            )
            for k, name in enumerate(each.names)
        ]
        self.add(f"backward {each.name}", results)

    def _text(self, function: Function, name: str, results: list[Step], sums: list[str]) -> str:
        plan = self.plan
        backward = name.startswith("backward")
        nodes = [each.node for each in results] + [plan.gradients[Leaf("v", k)] for k in sums]
        computed = function.compute(nodes, lambda leaf: self._leaf(function, leaf, backward))
        lines = [*function.vectors(nodes), *computed]
        for each in results:
            lines.append(
                function.store(
                    each.slot, each.row, each.stride, each.offset, f"x{each.node}", "inside"
                )
            )
        width = f"w{function.place}"
        for k in sums:  # Kahan's, as in the loops
            total, lost = (
                function.load(f"{slot}.{k}", "n", width, "0", "inside") for slot in ("sum", "lost")
            )
            lines += [
                f"before_sum = {total}",
                f"part = x{plan.gradients[Leaf('v', k)]} - {lost}",
                "total = before_sum + part",
                function.store(f"sum.{k}", "n", width, "0", "total", "inside"),
                function.store(
                    f"lost.{k}", "n", width, "0", "(total - before_sum) - part", "inside"
                ),
            ]
        return function.text(_NUMBERS, (), [f"# {name}", *lines])

    def _leaf(self, function: Function, leaf: Leaf, backward: bool) -> str:
        plan, where, name = self.plan, function.where, leaf.name
        match leaf.kind:
            case "z":
                stride = where.columns(plan.columns)
                return function.load("Z", "row + n", stride, where.column(name), "inside")
            case "x":
                return function.load("X", "row + n", "I", "0", "inside")
            case "s":
                width = where.state_width(name)
                row = "before + n" if where.is_output(name) else "before_kept + n"
                return function.load(f"B.{name}", row, width, "0", "inside")
            case "m":
                group = next(each for each in plan.maps if name in each.names)
                left = group.names[: group.names.index(name)]
                stride = where.result(group.names)
                slot = f"M.{group.name}"
                return function.load(slot, "kept + n", stride, where.result(left), "inside")
            case "y":
                return function.load("dY", "row + n", f"w{plan.output_width}", "0", "inside")
            case "g":
                width = where.state_width(name)
                parts = [f"G.{name}"]
                if self.narrow:  # what products gave the step after is not added yet
                    parts += [f"P.{k}" for k, p in enumerate(plan.products) if p.state == name]
                return " + ".join(function.load(slot, "n", width, "0", "inside") for slot in parts)
            case "a":
                argument = next(each.argument for each in plan.maps if each.name == name)
                width = f"w{plan.node_widths[argument]}"
                return function.load(f"dV.{name}", "n", width, "0", "inside")
        raise AssertionError(leaf)

    def new_states(self) -> list[Step]:
        plan, where, results = self.plan, self.where, []
        for (name, place), node in zip(plan.states.items(), plan.new_states, strict=True):
            row = "row + n" if where.is_output(name) else "kept + n"
            results.append(Step(node, place, f"S.{name}", f"w{place}", row))
            if self.narrow:
                results.append(Step(node, place, f"F.{name}", f"w{place}", "n"))
        if plan.output is not None:
            width = f"w{plan.output_width}"
            results.append(Step(plan.output, plan.output_width, "Y", width, "row + n"))
        return results

    def gradients(self) -> tuple[list[Step], tuple[str, ...]]:
        """What the backward pass computes last in a step, and the vectors that it sums up."""
        plan, where = self.plan, self.where

        stride = where.columns(plan.columns)
        results = [
            Step(plan.gradient("z", name), place, "dZ", stride, "row + n", where.column(name))
            for name, place in plan.columns.items()
        ]
        results += [
            Step(plan.gradient("s", name), place, f"G.{name}", f"w{place}", "n")
            for name, place in plan.states.items()
        ]
        if plan.raw_gradient:
            raw = plan.gradient("x", "input")
            results.append(Step(raw, plan.node_widths[raw], "dX", "I", "row + n"))
        known = summed_rows(plan)
        return results, tuple(name for name in plan.learned if name not in known)
