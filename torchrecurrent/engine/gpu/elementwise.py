"""Writes the kernels of an elementwise recurrence: the whole sequence in one, forward or backward.

With no product in the loop, units never meet: each has a lane, and its state stays in a register
from the first step to the last. What a step loads does not depend on the step before, so that
Triton keeps the loads of several steps in flight.
"""

from __future__ import annotations

import torch

from ..program.buffers import Rows, View
from ..program.lower import Program, kahan
from .loop import Loop, backward_loop, forward_loop, hold
from .scan import NUMBERS, POINTERS, Scan, emit_ends, enter, scan_of
from .text import Function, Spec, indented

__all__ = ["emit_loops"]


def emit_loops(program: Program, real: torch.dtype) -> tuple[str, dict[str, list[Spec]]]:
    """The text, and the kernels of either direction: one for each width.

    Where a sequence can be cut into chunks that run side by side, the part ``forward ends`` or
    ``backward ends`` has the kernels that find what each chunk does to what enters it.
    """
    texts: list[str] = []
    found: dict[str, list[Spec]] = {}
    for make in (forward_loop, backward_loop):
        loops = [make(program, place) for place in range(len(program.plan.widths))]
        loops = [loop for loop in loops if loop.nodes]
        scans = [scan_of(loop) for loop in loops]
        cut = all(scan is not None for scan in scans)
        for loop, scan in zip(loops, scans, strict=True):
            function = Function(program, real, f"{loop.name}_{loop.place}", loop.place)
            texts.append(_text(loop, function, scan if cut else None))
            found.setdefault(loop.name, []).append(function.spec())
            if cut and scan is not None and scan.entries:
                ends = Function(scan.program, real, f"{loop.name}_ends_{loop.place}", loop.place)
                texts.append(emit_ends(loop, ends, scan))
                found.setdefault(f"{loop.name} ends", []).append(ends.spec())
        if cut:
            found.setdefault(f"{loops[0].name} ends", [])
    return "\n\n".join(texts), found


def _text(loop: Loop, function: Function, scan: Scan | None) -> str:
    """The kernel that writes the results."""
    first: dict[str, str] = {}
    body = loop.compute(function, loop.nodes, first)
    loads = function.loads
    for store in loop.step.stores:
        line = function.store(store.into, "row + n", f"x{store.node}", "active")
        body += [line] if loop.always(store) else ["if KEEP:", f"    {line}"]
    for k, each in enumerate(loop.step.sums):
        part, total, lost = kahan(f"tl.where(active, x{each.node}, 0.0)", f"a{k}", f"e{k}")
        body += [f"part = {part}", f"total = {total}", f"e{k} = {lost}", f"a{k} = total"]
    body += hold([(each.register, f"x{each.node}") for each in loop.held])
    starts = loop.starts(function)
    steps = loop.over("begin" if scan else "0", "end" if scan else "T", body, stages="STAGES")
    entering = enter(loop, function, scan, first) if scan else []
    function.loads = loads  # those of this loop: what enters a chunk has one of its own
    zeros = f"tl.zeros((ROWS, BLOCK), {function.real})"
    lines = [
        "many = N.to(tl.int64)",
        *function.vectors(loop.nodes),
        *(f"{register} = {value}" for register, value in first.items()),
        *starts,
        *entering,
        *(f"{letter}{k} = {zeros}" for k in range(len(loop.step.sums)) for letter in "ae"),
        *steps,
        *_last(loop, function, scan),
    ]
    flags = ["STAGES"] if loop.name == "backward" else ["KEEP", "STAGES"]
    return function.text(NUMBERS, [*flags, *(["CHUNKED"] if scan else [])], lines, POINTERS)


def _last(loop: Loop, function: Function, scan: Scan | None) -> list[str]:
    """Stores what is left in registers after the last step."""
    # Only the chunk that has the last step knows it. The comparison is spread over the sequences:
    # Triton 3.9's interpreter makes no mask of a tile and a single number.
    mask = "inside & (0 * n + end == T)" if scan else "inside"
    lines = [
        function.store(View(each.last), "n", each.register, mask)
        for each in loop.held
        if each.last.rows is not Rows.STEP  # which has it already
    ]
    if loop.name == "forward":
        return ["if not KEEP:", *indented(lines)] if lines else []
    row, sums = "chunk * many + n" if scan else "n", loop.program.buffers.sums
    return lines + [
        function.store(View(sums[each.vector]), row, f"a{k}", "inside")
        for k, each in enumerate(loop.step.sums)
    ]
