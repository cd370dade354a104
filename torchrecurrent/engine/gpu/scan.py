"""Writes what it takes for several programs to share a sequence: a scan by chunks.

Few sequences with few units do not fill a GPU, however long they are. If what a loop carries from
step to step is affine in itself, as gradients always are and the states of linear cells, then so
is what a chunk of steps does to it. First, for all chunks side by side, a kernel finds the matrix
and the vector of each chunk, unit by unit; then each chunk's program applies those of the chunks
before it, and runs its own steps as if it were alone.

A product of many matrices can overflow where the numbers that it is applied to do not, or are
zero. What is not finite after a chunk is therefore found step by step instead: slowly, and as the
loop would.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..ir.affine import Affine, affine
from ..program.buffers import Buffer, Rows, Type, View
from ..program.lower import Program
from .loop import Loop, hold
from .text import Function, indented

__all__ = ["NUMBERS", "POINTERS", "Scan", "emit_ends", "enter", "scan_of"]

#: Sequences at each step, and where its rows begin; None if all are equally long.
POINTERS = ("sizes", "offsets")
#: Time steps, sequences, and the time steps of a chunk.
NUMBERS = ("T", "N", "LENGTH")

#: A step multiplies matrices of this size, which are held in registers.
_MOST_HELD = 4


@dataclass(frozen=True)
class Scan:
    """The affine map of a chunk from what enters it to what leaves it."""

    program: Program  # with the nodes of ``step`` in its graph
    step: Affine

    @property
    def entries(self) -> list[tuple[int, int]]:
        """The entries of a chunk's matrix that may differ from zero."""
        return self.step.reached()


def scan_of(loop: Loop) -> Scan | None:
    """None where what a loop carries is not affine in itself, or is too much."""
    plan = loop.program.plan
    graph = plan.graph.copy()
    step = affine(graph, [each.node for each in loop.held], [each.leaf for each in loop.held])
    if step is None or step.size > _MOST_HELD:
        return None
    return Scan(replace(loop.program, plan=replace(plan, graph=graph)), step)


def emit_ends(loop: Loop, function: Function, scan: Scan) -> str:
    """The kernel that finds the matrix and the vector of each chunk but the last."""
    step, first = scan.step, dict[str, str]()
    nodes = [*step.matrix.values(), *step.rest.values()]
    zeros = f"tl.zeros((ROWS, BLOCK), {function.real})"
    values = [(f"m{i}_{j}", _entry(scan, i, j) or zeros) for i, j in scan.entries]
    values += [(f"r{i}", _rest(step, i) or zeros) for i in range(step.size)]
    body = loop.compute(function, nodes, first)
    body += [f"new_{name} = {value}" for name, value in values]
    body += hold([(name, f"new_{name}") for name, _ in values])
    stores = [
        function.store(end, "chunk * many + n", name, "inside")
        for end, name in [
            *((_end(loop, i, j), f"m{i}_{j}") for i, j in scan.entries),
            *((_end(loop, i), f"r{i}") for i in range(step.size)),
        ]
    ]
    lines = [
        "many = N.to(tl.int64)",
        *function.vectors(nodes),
        *(f"{register} = {value}" for register, value in first.items()),
        *(f"m{i}_{j} = {zeros}{' + 1.0' if i == j else ''}" for i, j in scan.entries),
        *(f"r{i} = {zeros}" for i in range(step.size)),
        *_bounds(),
        *loop.over("begin", "end", body, stages="STAGES"),
        *stores,
    ]
    return function.text(NUMBERS, ("STAGES",), lines, POINTERS)


def _entry(scan: Scan, i: int, j: int) -> str:
    """Return the terms of the step's matrix times the chunk's."""
    entries = set(scan.entries)
    terms = [
        f"x{node} * m{k}_{j}"
        for (row, k), node in scan.step.matrix.items()
        if row == i and (k, j) in entries
    ]
    return " + ".join(terms)


def _rest(step: Affine, i: int) -> str:
    terms = [f"x{node} * r{k}" for (row, k), node in step.matrix.items() if row == i]
    terms += [f"x{step.rest[i]}"] if i in step.rest else []
    return " + ".join(terms)


def _end(loop: Loop, *entry: int) -> View:
    """An entry of the chunks' matrices or, with one number, of their vectors."""
    name = ".".join(map(str, ("E", loop.place, *entry)))
    return View(Buffer(name, loop.held[0].first.columns, Rows.BATCH, type=Type.SUM))


def _bounds() -> list[str]:
    return [
        "chunk = tl.program_id(2).to(tl.int64)",
        "begin = tl.program_id(2) * LENGTH",
        "end = tl.minimum(begin + LENGTH, T)",
    ]


def enter(loop: Loop, function: Function, scan: Scan, first: dict[str, str]) -> list[str]:
    """Lines that take what is carried to the beginning of this program's chunk."""
    size = scan.step.size
    registers = [each.register for each in loop.held]
    nodes = [each.node for each in loop.held]

    def end(*entry: int) -> str:
        return function.load(_end(loop, *entry), "other * many + n", "inside")

    sums = [
        " + ".join([f"{end(i, j)} * {registers[j]}" for r, j in scan.entries if r == i] + [end(i)])
        for i in range(size)
    ]
    finite = " & ".join(f"(tl.abs(y{i}) < float('inf'))" for i in range(size))
    body = loop.compute(function, nodes, first)
    body += hold([(each.register, f"x{each.node}") for each in loop.held])
    lines = [
        *(f"y{i} = {value}" for i, value in enumerate(sums)),
        f"if tl.max(tl.where(inside & ~({finite}), 1, 0)) > 0:",
        *indented(loop.over("other * LENGTH", "other * LENGTH + LENGTH", body)),
        "else:",
        *indented(f"{register} = y{i}" for i, register in enumerate(registers)),
    ]
    return [
        "if CHUNKED:",
        *indented(_bounds()),
        *(indented(["for other in range(0, tl.program_id(2)):", *indented(lines)]) if size else []),
        "else:",
        *indented(["chunk, begin, end = 0, 0, T"]),
    ]
