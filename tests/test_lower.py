"""The lowered passes: what they read is there, and the README says where it lies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import torchrecurrent
from torchrecurrent import BaseRecurrentCell, list_cells
from torchrecurrent.engine.program.buffers import Buffer, Buffers, Life, Rows
from torchrecurrent.engine.program.build import make_plan
from torchrecurrent.engine.program.lower import Operation, Program, Segment, lower

from .making import make

README = Path(torchrecurrent.__path__[0], "engine", "README.md")


def reads(program: Program, operation: Operation) -> Iterator[Buffer]:
    """The buffers that an operation reads."""
    if not isinstance(operation, Segment):
        yield operation.source.buffer
        return
    graph = program.plan.graph
    for node in graph.needed(operation.nodes):
        leaf = graph.nodes[node].leaf
        if leaf is not None and leaf.kind not in "vc":
            yield program.values[leaf].buffer


def writes(operation: Operation) -> list[Buffer]:
    if isinstance(operation, Segment):
        return [each.into.buffer for each in operation.stores]
    return [operation.into.buffer]


@pytest.mark.parametrize("apart", [False, True])
def test_an_operation_reads_what_is_there(cell_class: type[BaseRecurrentCell], apart: bool) -> None:
    program = lower(make_plan(make(cell_class, device="meta")), apart)
    b = program.buffers
    there = {b.data, *b.before.values()}
    check(program, [program.projection, *program.forward], there)
    assert there >= {b.output, *b.states.values()}
    there = {b.data, *b.before.values(), *b.kept, b.d_output, *b.d_states.values()}
    check(program, [*program.backward, program.data_gradient], there)
    assert there >= {*b.d_results.values(), *([b.d_affine] if program.plan.columns else [])}


def check(program: Program, operations: list[Operation | None], there: set[Buffer]) -> None:
    """Extend ``there`` by what operations write, and see that each reads what is there."""
    for each in operations:
        if each is not None:
            assert there.issuperset(reads(program, each))
            there.update(writes(each))


def declared(buffers: Buffers) -> Iterator[Buffer]:
    for value in vars(buffers).values():
        for each in value.values() if isinstance(value, dict) else [value]:
            yield from each if isinstance(each, list) else [each]


def facts(apart: bool) -> dict[str, tuple[set[str], set[str]]]:
    """The rows and lifetimes of the buffers of all cells, by kind."""
    found: dict[str, tuple[set[str], set[str]]] = {}
    for name in list_cells():
        plan = make_plan(make(getattr(torchrecurrent, name), device="meta"))
        for each in declared(Buffers(plan, apart)):
            rows, lives = found.setdefault(kind(each.name), (set(), set()))
            rows.add(each.rows.value)
            lives.add(each.life.value)
    return found


def kind(name: str) -> str:
    """A buffer's name without what it is of."""
    return name.split(".")[0] + "." * ("." in name)


def said(cell: str, values: type[Rows | Life]) -> set[str]:
    """The values in a cell of the table, each at the end of a part that says of what it holds."""
    parts = [part.strip() for part in cell.split(";")]
    return {max((v.value for v in values if p.endswith(v.value)), key=len) for p in parts}


def test_the_readme_says_where_buffers_lie() -> None:
    lines = README.read_text(encoding="utf-8").partition("| buffer |")[2].splitlines()[2:]
    rows = [line.strip("| ").split(" | ") for line in lines[: lines.index("")]]
    for column, found in ((2, facts(apart=False)), (3, facts(apart=True))):
        told = set()
        for row in rows:
            for name in row[0].split(", "):
                told.add(kind(name.strip("`")))
                if row[column].strip():
                    here = said(row[column], Rows), said(row[4], Life)
                    assert found[kind(name.strip("`"))] == here, (name, column)
        assert told == set(found)
