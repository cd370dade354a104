"""Writes the kernels of a dense recurrence: those between the products of one time step."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import torch

from ..ir.graph import Leaf
from ..program.buffers import Before, Rows, View
from ..program.lower import Multiply, Program, Segment, kahan, segments_of
from .text import Function, Spec

__all__ = ["carrying", "emit_readouts", "emit_steps", "summed_rows"]

#: The sequences of the step; where its rows begin in what has a row for each step, and in what
#: has one only if it is kept; the same for the states before, the output's and others.
_NUMBERS = ("N", "row", "kept", "before", "before_kept")
_ROW = {Rows.STEP: "row + n", Rows.KEPT: "kept + n", Rows.BATCH: "n"}
_ROW_BEFORE = {Rows.STEP: "before + n", Rows.KEPT: "before_kept + n"}


def carrying(program: Program) -> Program:
    """The program where tensors with a row for each step have fewer bits than sums.

    A state is stored once more for the next step, and what products pass on to the gradient of a
    state is apart from it until that step reads both.
    """
    b, last = program.buffers, segments_of(program.forward)[-1]
    pairs = zip(last.stores, b.carried.values(), strict=False)  # the first ones are the states'
    states = [each for store, f in pairs for each in (store, replace(store, into=View(f)))]
    results = replace(last, stores=[*states, *last.stores[len(b.carried) :]])
    backward = [
        replace(each, into=View(b.pending[each.matrix.name]), adds=False)
        if isinstance(each, Multiply) and each.adds  # not one of a map
        else each
        for each in program.backward
    ]
    return replace(program, forward=[*program.forward[:-1], results], backward=backward)


def summed_rows(program: Program) -> dict[str, View]:
    """The learned vectors whose gradient is a column of dZ or dM, summed over its rows."""
    found, plan, b = {}, program.plan, program.buffers
    received = [b.d_affine, *b.d_results.values()]
    stores = [each for segment in segments_of(program.backward) for each in segment.stores]
    views = {each.node: each.into for each in stores if each.into.buffer in received}
    for each in segments_of(program.backward)[-1].sums:
        if each.node in views and not plan.vectors[each.vector].scalar:
            found[each.vector] = views[each.node]
    return found


def emit_readouts(program: Program, real: torch.dtype) -> tuple[str, dict[str, list[Spec]]]:
    """Return the kernels of an elementwise plan's output, and of what its maps receive.

    They are those of a step, and serve all steps at once.
    """
    output = segments_of(program.forward)[-1].stores[-1]
    received = segments_of(program.backward)[:-1]
    return _emit(program, real, [Segment("readout", [output]), *reversed(received)])


def emit_steps(program: Program, real: torch.dtype) -> tuple[str, dict[str, list[Spec]]]:
    """The text, and by name the kernels of each segment: one for each width."""
    *received, last = segments_of(program.backward)
    known = summed_rows(program)
    last = replace(last, sums=[each for each in last.sums if each.vector not in known])
    return _emit(program, real, [*segments_of(program.forward), *reversed(received), last])


def _emit(
    program: Program, real: torch.dtype, segments: Iterable[Segment]
) -> tuple[str, dict[str, list[Spec]]]:
    texts: list[str] = []
    found: dict[str, list[Spec]] = {}
    for segment in segments:
        found[segment.name] = []
        for place, part in segment.by_width():
            function = Function(program, real, f"segment_{len(texts)}", place)
            texts.append(_text(function, part))
            found[segment.name].append(function.spec())
    return "\n\n".join(texts), found


def _text(function: Function, segment: Segment) -> str:
    b, nodes = function.program.buffers, segment.nodes
    computed = function.compute(nodes, lambda leaf: _value(function, leaf))
    lines = [f"# {segment.name}", *function.vectors(nodes), *computed]
    lines += [_store(function, each.into, f"x{each.node}") for each in segment.stores]
    for each in segment.sums:
        sums, losses = View(b.sums[each.vector]), View(b.lost[each.vector])
        lines.append(f"before_sum = {_load(function, sums)}")
        part, total, lost = kahan(f"x{each.node}", "before_sum", _load(function, losses))
        lines += [f"part = {part}", f"total = {total}"]
        lines += [_store(function, sums, "total"), _store(function, losses, lost)]
    return function.text(_NUMBERS, (), lines)


def _value(function: Function, leaf: Leaf) -> str:
    program = function.program
    view = program.values[leaf]
    if leaf.kind != "g":
        return _load(function, view)
    # With what products have passed on, where that is apart.
    before, transposed = program.buffers.before[leaf.name], program.transposed
    of_state = [each for each in program.products if each.source.buffer is before]
    views = dict.fromkeys([view, *(transposed[each.matrix].into for each in of_state)])
    return " + ".join(_load(function, each) for each in views)


def _load(function: Function, view: View) -> str:
    rows = _ROW_BEFORE if isinstance(view.buffer, Before) else _ROW
    return function.load(view, rows[view.buffer.rows], "inside")


def _store(function: Function, view: View, value: str) -> str:
    return function.store(view, _ROW[view.buffer.rows], value, "inside")
