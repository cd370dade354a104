"""Writes the kernels of an elementwise recurrence: the whole sequence in one, forward or backward.

With no product in the loop, units never meet: each has a lane, and its state stays in a register
from the first step to the last. What a step loads does not depend on the step before, so that
Triton keeps the loads of several steps in flight.
"""

from __future__ import annotations

import torch

from .graph import Leaf
from .plan import Plan
from .triton_text import Function, Spec, indented

__all__ = ["emit_loops"]

#: Sequences at each step, and where its rows begin; None if all are equally long.
_POINTERS = ("sizes", "offsets")
#: Time steps and sequences.
_NUMBERS = ("T", "N")


def emit_loops(plan: Plan, real: torch.dtype) -> tuple[str, dict[str, list[Spec]]]:
    """The text, and the kernels of either direction: one for each width."""
    texts: list[str] = []
    found: dict[str, list[Spec]] = {"forward": [], "backward": []}
    for place in range(len(plan.widths)):
        for direction, write in (("forward", _forward), ("backward", _backward)):
            function = Function(plan, real, f"{direction}_{place}", place)
            text = write(function)
            if text:
                texts.append(text)
                found[direction].append(function.spec())
    return "\n\n".join(texts), found


def _states(function: Function) -> list[tuple[int, str]]:
    """Those of the kernel's width, with their numbers."""
    states = enumerate(function.plan.states.items())
    return [(k, name) for k, (name, place) in states if place == function.place]


def _is_output(plan: Plan, state: str) -> bool:
    return plan.output is None and state == next(iter(plan.states))


def _row(before: bool) -> list[str]:
    """Where the rows of step t begin and, for the backward pass, those of the step before."""
    equal = ["row, active = t * many, inside"]
    ragged = ["row = tl.load(offsets + t)", "active = inside & (n < tl.load(sizes + t))"]
    if before:
        equal.append("before = tl.maximum(row - many, 0)")
        ragged.append("before = tl.load(offsets + tl.maximum(t - 1, 0))")
    return ["if sizes is None:", *indented(equal), "else:", *indented(ragged)]


def _leaf(function: Function, leaf: Leaf) -> str:
    """The value of a leaf that has a row for each step."""
    plan, where, row = function.plan, function.where, "row + n"
    if leaf.kind == "z":
        stride = where.columns(plan.columns)
        return function.load("Z", row, stride, where.column(leaf.name), "active")
    if leaf.kind == "x":
        return function.load("X", row, "I", "0", "active")
    assert leaf.kind == "y", leaf
    return function.load("dY", row, f"w{plan.output_width}", "0", "active")


def _forward(function: Function) -> str:
    plan, width = function.plan, f"w{function.place}"
    states = _states(function)
    results = [(f"S.{name}", plan.new_states[k]) for k, name in states]
    if plan.output is not None and plan.output_width == function.place:
        results.append(("Y", plan.output))
    nodes = [node for _, node in results]
    if not nodes:
        return ""
    numbers = {name: k for k, name in states}

    def leaf(found: Leaf) -> str:
        return f"s{numbers[found.name]}" if found.kind == "s" else _leaf(function, found)

    first = [f"s{k} = {function.load(f'S0.{s}', 'n', width, '0', 'inside')}" for k, s in states]
    body = _row(before=False) + function.compute(nodes, leaf)
    always = [slot for slot, _ in results if slot == "Y" or _is_output(plan, slot[2:])]
    for slot, node in results:
        line = function.store(slot, "row + n", width, "0", f"x{node}", "active")
        body += [line] if slot in always else ["if KEEP:", f"    {line}"]
    body += _hold([(f"s{k}", plan.new_states[k]) for k, _ in states])
    last = [
        function.store(f"S.{name}", "n", width, "0", f"s{k}", "inside")
        for k, name in states
        if f"S.{name}" not in always
    ]
    lines = [
        "many = N.to(tl.int64)",
        *function.vectors(nodes),
        *first,
        "for t in tl.range(0, T, num_stages=STAGES):",
        *indented(body),
        *(["if not KEEP:", *indented(last)] if last else []),
    ]
    return function.text(_NUMBERS, ("KEEP", "STAGES"), lines, _POINTERS)


def _backward(function: Function) -> str:
    plan, width, where = function.plan, f"w{function.place}", function.where
    states, columns = _states(function), where.columns(plan.columns)

    def gradient(leaf: Leaf) -> int:
        return plan.gradients.get(leaf, plan.graph.number(0))

    results = [
        ("dZ", columns, where.column(name), gradient(Leaf("z", name)))
        for name, place in plan.columns.items()
        if place == function.place
    ]
    if plan.raw_gradient:
        node = gradient(Leaf("x", "input"))
        if plan.node_widths[node] == function.place:
            results.append(("dX", "I", "0", node))
    held = [(f"g{k}", gradient(Leaf("s", name))) for k, name in states]
    sums = [
        (k, name, plan.gradients[Leaf("v", name)])
        for k, name in enumerate(plan.learned)
        if plan.node_widths[plan.graph.leaf("v", name)] == function.place
    ]
    nodes = [*(node for *_, node in results), *(n for _, n in held), *(n for *_, n in sums)]
    if not nodes:
        return ""
    numbers = {name: k for k, name in states}
    first: dict[int, str] = {}

    def leaf(found: Leaf) -> str:
        if found.kind == "g":
            return f"g{numbers[found.name]}"
        if found.kind == "s":
            k = numbers[found.name]
            first[k] = f"f{k} = {function.load(f'S0.{found.name}', 'n', width, '0', 'inside')}"
            # At the first step these are rows of it, which nobody uses.
            history = function.load(f"S.{found.name}", "before + n", width, "0", "active")
            return f"tl.where(t > 0, {history}, f{k})"
        return _leaf(function, found)

    body = ["t = T - 1 - back", *_row(before=True), *function.compute(nodes, leaf)]
    for slot, stride, offset, node in results:
        body.append(function.store(slot, "row + n", stride, offset, f"x{node}", "active"))
    for k, _, node in sums:  # Kahan's: over thousands of steps what rounding loses would show
        body += [
            f"part = tl.where(active, x{node}, 0.0) - e{k}",
            f"total = a{k} + part",
            f"e{k} = (total - a{k}) - part",
            f"a{k} = total",
        ]
    body += _hold(held)
    zeros = f"tl.zeros((ROWS, BLOCK), {function.real})"
    lines = [
        "many = N.to(tl.int64)",
        *function.vectors(nodes),
        *first.values(),
        *(f"g{k} = {function.load(f'G.{s}', 'n', width, '0', 'inside')}" for k, s in states),
        *(f"{letter}{k} = {zeros}" for k, _, _ in sums for letter in "ae"),
        "for back in tl.range(0, T, num_stages=STAGES):",
        *indented(body),
        *(function.store(f"G.{s}", "n", width, "0", f"g{k}", "inside") for k, s in states),
        *(function.store(f"sum.{s}", "n", width, "0", f"a{k}", "inside") for k, s, _ in sums),
    ]
    return function.text(_NUMBERS, ("STAGES",), lines, _POINTERS)


def _hold(values: list[tuple[str, int]]) -> list[str]:
    """Registers take new values; those of sequences that have ended stay as they are."""
    lines = [f"{name} = x{node}" for name, node in values]
    ragged = [f"{name} = tl.where(active, x{node}, {name})" for name, node in values]
    return ["if sizes is None:", *indented(lines), "else:", *indented(ragged)] if values else []
