"""Writes the C between two products: loops over rows and units, and the addresses they read.

Addresses are pointers, and offsets in units of the widths.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

from ..ir.invariant import steady_nodes
from ..ir.operations import OPERATIONS
from ..program.buffers import Before, Buffer, Rows, Type, View
from ..program.lower import Program, Segment, kahan
from ..program.names import ONE, Slots, extent
from ..program.plan import Plan
from .sharing import can_share_units

__all__ = ["Segments", "line"]

#: Of a unit, where it is read: the units from ``first`` on are copies of one or of neighbours.
_INDEX = {None: "j", "repeated": "0", "tiled": "j - first"}
#: The first row of this step and slice.
_ROW = {Rows.STEP: "r0", Rows.KEPT: "(keep ? r0 : n0)", Rows.BATCH: "n0"}
#: Sums over rows: those of each part of the batch apart, however it is shared, for the same bits.
_EACH_PART = """\
        for (int64_t each = team ? 0 : slice; each < (team ? count : slice + 1); each++) {
        const int64_t first = team ? begin(s, each, count) : 0;
        const int64_t next = team ? begin(s, each + 1, count) : rows;
        const int64_t last = next < rows ? next : rows;
        if (first >= last) continue;
"""


def line(plan: Plan, node: int, leaf: str = "") -> str:
    """Declares x<node> in C.

    Args:
        plan: of the step.
        node: a node whose arguments are declared.
        leaf: its value if it is a leaf other than an option of the step.
    """
    current, kind = plan.graph.nodes[node], "real"
    if current.leaf is not None:
        is_option = current.leaf.kind == "c"
        value = f"c{plan.constants.index(current.leaf.name)}" if is_option else leaf
    elif current.op == "number":
        value = f"(real){current.value!r}"
    else:
        row = OPERATIONS[current.op]
        kind = "int" if row.compares else "real"
        value = row.text([f"x{arg}" for arg in current.args])
    return f"                const {kind} x{node} = {value};\n"


def _kind(buffer: Buffer) -> str:
    """The type of its numbers in C."""
    return "uint8_t" if buffer.type is Type.BYTE else "real"


@dataclass(frozen=True)
class _Read:
    """A leaf that a loop reads: its first row, the distance between its rows, its type."""

    node: int
    row: str
    stride: str = "0"
    type: str = "real"
    view: View | None = None


def _units(place: int, loop: str, leaves: Sequence[_Read], lines: str) -> str:
    """Write the loop over the units of a row; as two, where some of them are copies."""
    copied = [
        (each.node, each.view.copies, f"({extent(each.view.columns)})")
        for each in leaves
        if each.view is not None and each.view.copies is not None
    ]
    if not copied:
        return f"            IVDEP\n            {loop} {{\n{lines}            }}\n"
    run, starts = f"w{place}", ""
    for node, how, width in copied:
        times = f"w{place} / {width}"
        run = f"divisor({run}, {times if how == 'repeated' else width})"
        start = f"first / ({times})" if how == "repeated" else f"first % {width}"
        starts += f"                const real *u{node} = l{node} + {start};\n"
    return (
        f"            const int64_t run = {run};\n"
        f"            for (int64_t first = 0; first < w{place}; first += run) {{\n{starts}"
        f"            IVDEP\n            for (int64_t j = first; j < first + run; j++) {{\n"
        f"{lines}            }}\n            }}\n"
    )


class Segments:
    """The C of a program's segments and of the declarations that they need."""

    def __init__(self, program: Program) -> None:
        self.program, self.plan, self.buffers = program, program.plan, program.buffers
        self.slot = Slots()
        self._steady = steady_nodes(self.plan.graph)
        self._kept: dict[int, int] = {}  # of these, those that a pass reads: their numbers
        self.rows = len(self.plan.vectors)  # of what each slice computes before the loop
        self.shares_units = can_share_units(program)

    def bounds(self, place: int) -> tuple[str, str]:
        """The first of the units of a width that a slice computes, and the one after the last."""
        return (f"from{place}", f"to{place}") if self.shares_units else ("0", f"w{place}")

    def over_units(self, place: int) -> str:
        """Begins a loop over these units."""
        first, end = self.bounds(place)
        return f"for (int64_t j = {first}; j < {end}; j++)"

    def stride(self, buffer: Buffer) -> str:
        """The distance between the rows of a buffer."""
        is_z = buffer in (self.buffers.affine, self.buffers.d_affine)
        return "ldz" if is_z else extent(buffer.columns)

    def address(self, view: View) -> str:
        """The first row of this step and slice."""
        buffer = view.buffer
        if isinstance(buffer, Before):
            return f"before_{list(self.buffers.before.values()).index(buffer)}"
        first = self.slot(buffer.name)
        if buffer.type is Type.BYTE:
            first = f"(const {_kind(buffer)} *){first}"
        at = _ROW[buffer.rows]
        if self.shares_units and buffer is self.buffers.affine:
            at = "(keep ? r0 : z0)"
        row = f"({first} + {at} * ({self.stride(buffer)}))"
        return row if view.start is None else f"{row} + {extent(view.before)}"

    def before(self) -> str:
        """Declares the address of each state before this step."""
        lines = []
        for k, each in enumerate(self.buffers.before.values()):
            width, after = extent(each.columns), self.slot(each.after.name)
            value = f"t ? {after} + q0 * {width} : {self.slot(each.first.name)} + n0 * {width}"
            if each.rows is Rows.KEPT:  # overwritten if not kept
                value = f"keep ? ({value}) : {after} + n0 * {width}"
            lines.append(f"        const real *before_{k} = {value}; (void)before_{k};\n")
        return "".join(lines)

    def vectors(self) -> str:
        """Declares the numbers for each unit; those that are sums are added up here."""
        lines = []
        for k, (name, sources) in enumerate(self.buffers.vectors.items()):
            pointers = [self.slot(each.name) for each in sources]
            is_scalar = sources[0].columns is ONE
            if len(sources) == 1 and not is_scalar:
                lines.append(f"    const real *v{k} = {pointers[0]}; (void)v{k};\n")
                continue
            value = " + ".join(f"{pointer}[{'0' if is_scalar else 'j'}]" for pointer in pointers)
            lines.append(
                f"    real *v{k} = {self._vector(k)};\n"
                f"    for (int64_t j = 0; j < w{self.plan.vector_width(name)}; j++) "
                f"v{k}[j] = {value};\n"
            )
        return "".join(lines)

    def _vector(self, k: int) -> str:
        """Memory of this slice for what is computed before the loop."""
        return f"{self.slot('vectors')} + (slice * VECTORS + {k}) * widest"

    def kept(self) -> str:
        """Computes, once a slice, the steady nodes that the segments since the last call read."""
        text, count = "", len(self.plan.vectors)
        for node, k in self._kept.items():
            leaves, lines = self._compute([node], ())
            rows = "".join(f"    const real *l{each.node} = {each.row};\n" for each in leaves)
            text += (
                f"    real *h{k} = {self._vector(count + k)};\n    {{\n{rows}"
                f"    IVDEP\n    for (int64_t j = 0; j < w{self.plan.node_widths[node]}; j++) {{\n"
                f"{lines}                h{k}[j] = x{node};\n    }}\n    }}\n"
            )
        self.rows = max(self.rows, count + len(self._kept))
        self._kept.clear()
        return text

    def segment(self, segment: Segment) -> str:
        """Write the loops that compute some nodes, one for each width.

        Sums are taken first over the rows within a step, and then over the steps.
        """
        for store in segment.stores:  # the pointers that it writes to have the first numbers
            self.slot(store.into.buffer.name)
        return "".join(self._loop(place, part) for place, part in segment.by_width())

    def _loop(self, place: int, segment: Segment) -> str:
        leaves, lines = self._compute(segment.nodes, self._steady)
        rows = [
            f"const {each.type} *l{each.node} = {each.row} + n * ({each.stride});"
            for each in leaves
        ]
        for k, store in enumerate(segment.stores):
            row, stride = self.address(store.into), self.stride(store.into.buffer)
            rows.append(f"real *o{k} = {row} + n * ({stride});")
            lines += f"                o{k}[j] = x{store.node};\n"
        before, after, learned = "", "", self.plan.learned
        first, end, of = "0", "rows", "slice"
        if segment.sums and self.shares_units:
            first, end, of = "first", "last", "each"
            before, after = _EACH_PART, "        }\n"
        loop = f"        {self.over_units(place)}"
        for each in segment.sums:
            k = learned.index(each.vector)
            for letter, buffer in zip("ate", self.buffers.totals, strict=True):
                pointer = f"{self.slot(buffer.name)} + ({of} * {len(learned)} + {k}) * widest"
                before += f"        real *{letter}{k} = {pointer};\n"
            before += f"{loop} a{k}[j] = 0;\n"
            part, total, lost = kahan(f"a{k}[j]", f"t{k}[j]", f"e{k}[j]")
            after = (
                f"{loop} {{\n"
                f"            const real part = {part}, total = {total};\n"
                f"            e{k}[j] = {lost};\n"
                f"            t{k}[j] = total;\n        }}\n{after}"
            )
            lines += f"                a{k}[j] += x{each.node};\n"
        declared = "".join(f"            {row}\n" for row in rows)
        return (
            f"        {{\n{before}        for (int64_t n = {first}; n < {end}; n++) {{\n{declared}"
            f"{_units(place, self.over_units(place), leaves, lines)}        }}\n{after}        }}\n"
        )

    def _compute(self, nodes: Sequence[int], kept: Container[int]) -> tuple[list[_Read], str]:
        """Write the lines that declare nodes and all that they need; kept nodes are read.

        Returns:
            What they read, and the lines.
        """
        leaves: list[_Read] = []
        lines, graph = "", self.plan.graph
        for node in graph.needed(nodes, kept):
            leaf, value = graph.nodes[node].leaf, ""
            if node in kept:
                k = self._kept.setdefault(node, len(self._kept))
                lines += f"                const real x{node} = h{k}[j];\n"
                continue
            if leaf is not None and leaf.kind == "v":
                leaves.append(_Read(node, f"v{list(self.plan.vectors).index(leaf.name)}"))
                value = f"l{node}[j]"
            elif leaf is not None and leaf.kind != "c":
                view = self.program.values[leaf]
                row, stride, kind = self.address(view), self.stride(view.buffer), _kind(view.buffer)
                leaves.append(_Read(node, row, stride, kind, view))
                index = "0" if view.is_number else _INDEX[view.copies]
                value = f"{'u' if view.copies else 'l'}{node}[{index}]"
            lines += line(self.plan, node, value)
        return leaves, lines
