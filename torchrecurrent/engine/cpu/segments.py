"""Writes what happens between two products: loops over rows and units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..ir.graph import Node
from ..ir.operations import OPERATIONS
from .addresses import Addresses

__all__ = ["Result", "kept", "segment"]


@dataclass(frozen=True)
class Result:
    """A node, and where its rows go."""

    node: int
    place: int  # of its width
    address: str
    stride: str


def segment(
    where: Addresses, results: Sequence[Result], sums: Sequence[tuple[int, int]] = ()
) -> str:
    """Loops that compute some nodes, one for each width.

    ``results`` are written to rows; ``sums``, a vector's number and the node of its gradient,
    are added up over the rows, first within the step and then over the steps, where what
    rounding loses is carried on (Kahan): over thousands of steps it would show.
    """
    plan = where.plan
    vectors = [(k, node, plan.vector_width(plan.learned[k])) for k, node in sums]
    places = dict.fromkeys([*(result.place for result in results), *(each[2] for each in vectors)])
    return "".join(
        _loop(
            where,
            place,
            [result for result in results if result.place == place],
            [(k, node) for k, node, width in vectors if width == place],
        )
        for place in places
    )


def kept(where: Addresses) -> str:
    """Computes, once a slice, the steady nodes that the segments since the last call read."""
    plan, text = where.plan, ""
    for k, (node, address) in enumerate(where.take_kept().items()):
        lines, leaves = "", ""
        for each in plan.graph.needed([node]):
            current = plan.graph.nodes[each]
            if current.leaf is not None and current.leaf.kind != "c":
                leaves += f"    const real *l{each} = {where.leaf(current.leaf)[0]};\n"
            lines += _line(where, each, current)
        text += (
            f"    real *h{k} = {address};\n    {{\n{leaves}"
            f"    IVDEP\n    for (int64_t j = 0; j < w{plan.node_widths[node]}; j++) {{\n"
            f"{lines}                h{k}[j] = x{node};\n    }}\n    }}\n"
        )
    return text


def _loop(
    where: Addresses, place: int, results: Sequence[Result], sums: Sequence[tuple[int, int]]
) -> str:
    graph = where.plan.graph
    rows, lines = [], []
    nodes = [*(result.node for result in results), *(node for _, node in sums)]
    for node in graph.needed(nodes, where.steady):
        current = graph.nodes[node]
        if node in where.steady:
            lines.append(f"                const real x{node} = {where.kept(node)}[j];\n")
            continue
        if current.leaf is not None and current.leaf.kind != "c":
            address, stride = where.leaf(current.leaf)
            rows.append(f"            const real *l{node} = {address} + n * ({stride});\n")
        lines.append(_line(where, node, current))
    for k, result in enumerate(results):
        rows.append(f"            real *o{k} = {result.address} + n * ({result.stride});\n")
        lines.append(f"                o{k}[j] = x{result.node};\n")
    before, after = "", ""
    for k, node in sums:
        base = f"(slice * {len(where.plan.learned)} + {k}) * widest"
        loop = f"        for (int64_t j = 0; j < w{place}; j++)"
        before += (
            f"        real *a{k} = {where.slot('step')} + {base};\n"
            f"        real *t{k} = {where.slot('sum')} + {base};\n"
            f"        real *e{k} = {where.slot('lost')} + {base};\n"
            f"{loop} a{k}[j] = 0;\n"
        )
        after += (
            f"{loop} {{\n"
            f"            const real part = a{k}[j] - e{k}[j], total = t{k}[j] + part;\n"
            f"            e{k}[j] = (total - t{k}[j]) - part;\n"
            f"            t{k}[j] = total;\n        }}\n"
        )
        lines.append(f"                a{k}[j] += x{node};\n")
    return (
        f"        {{\n{before}        for (int64_t n = 0; n < rows; n++) {{\n{''.join(rows)}"
        f"            IVDEP\n            for (int64_t j = 0; j < w{place}; j++) {{\n"
        f"{''.join(lines)}            }}\n        }}\n{after}        }}\n"
    )


def _line(where: Addresses, node: int, current: Node) -> str:
    args, kind = [f"x{arg}" for arg in current.args], "real"
    if current.leaf is not None:
        constant = current.leaf.kind == "c"
        constants = where.plan.constants
        place = "0" if where.is_average(current.leaf) else "j"
        value = f"c{constants.index(current.leaf.name)}" if constant else f"l{node}[{place}]"
    elif current.op == "number":
        value = f"(real){current.value!r}"
    else:
        row = OPERATIONS[current.op]
        value, kind = row.text(args), "int" if row.compares else "real"
    return f"                const {kind} x{node} = {value};\n"
