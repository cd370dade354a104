"""Writes a plan as C: one function for the forward pass over a sequence, one for the backward.

Every thread calls them for rows n0 to n1 of the batch, from the first time step to the
last; or, where threads share the units, for some units of all rows. The code reads and writes
through pointers, whose order is :attr:`Source.slots`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ..program.buffers import View
from ..program.lower import Multiply, Operation, Segment, Total, Units, lower
from ..program.names import extent
from ..program.plan import Plan
from .math import prelude, source_file
from .segments import Segments
from .sharing import meetings

__all__ = ["Real", "Source", "emit_c"]

Real = Literal["float", "double"]

_MASKED = """\
static void masked(int64_t count, const real *from, const real *factors, real *to) {
    for (int64_t k = 0; k < count; k++) to[k] = factors[k] * from[k];
}
static void add_masked(int64_t count, const real *from, const real *factors, real *to) {
    for (int64_t k = 0; k < count; k++) to[k] += factors[k] * from[k];
}
"""
_TOTAL = """\
/* Of each row, in sixteen partial sums, which a compiler keeps in vector registers. */
static void total(int64_t rows, int64_t width, const real *from, real *to, int64_t stride) {
    for (int64_t n = 0; n < rows; n++, from += width, to += stride) {
        real parts[16] = {0}, sum = 0;
        int64_t j = 0;
        for (; j + 16 <= width; j += 16)
            for (int64_t k = 0; k < 16; k++) parts[k] += from[j + k];
        for (; j < width; j++) sum += from[j];
        for (int64_t k = 0; k < 16; k++) sum += parts[k];
        *to = sum;
    }
}
"""
_ARGUMENTS = "const sequence_t *s, int64_t slice, int64_t count, team_t *team"
_ALONE = "n0 = begin(s, slice, count), n1 = begin(s, slice + 1, count)"


@dataclass(frozen=True)
class Source:
    """The code, and the names of its pointers in order."""

    text: str
    slots: tuple[str, ...]
    vectors: int  # rows, as wide as the widest, that each slice computes before the loop


def emit_c(plan: Plan, real: Real) -> Source:
    """Write the C of a plan in one precision."""
    return _Writer(plan, real).source()


class _Writer:
    def __init__(self, plan: Plan, real: Real) -> None:
        self.real = real
        self.program = lower(plan)
        self.segments = Segments(self.program)

    def source(self) -> Source:
        plan, segments = self.program.plan, self.segments
        columns = extent(self.program.buffers.affine.columns)
        bodies = {"forward": self._forward(), "backward": self._backward()}
        vectors = segments.vectors()
        pointers = "".join(
            f"    real *p{k} = (real *)s->p[{k}]; /* {name} */ (void)p{k};\n"
            for k, name in enumerate(segments.slot.names)
        )
        constants = "".join(
            f"    const real c{k} = (real)s->c[{k}]; /* {name} */ (void)c{k};\n"
            for k, name in enumerate(plan.constants)
        )
        widest = len(plan.widths)
        widths = "".join(
            f"    const int64_t w{k} = s->w[{k}]; (void)w{k};\n" for k in range(widest)
        )
        setup = (
            f"{pointers}{constants}{widths}"
            f"    const int64_t widest = s->w[{widest}], ldz = {columns};\n"
            "    const int64_t I = s->I, keep = s->keep;\n"
            "    (void)ldz; (void)I; (void)keep; (void)slice; (void)widest;\n"
            f"{vectors}{self._share()}"
        )
        functions = "".join(
            f"\nstatic void {name}_slice({_ARGUMENTS}) {{\n{setup}{body}}}\n"
            f"void {name}(const call_t *call) {{\n"
            "    const sequence_t *s = call->arguments;\n"
            f"    FOR_SLICES(call) {name}_slice(s, slice, call->count, by < call->count ? 0 : "
            "s->team);\n}\n"
            for name, body in bodies.items()
        )
        counts = f"enum {{ VECTORS = {segments.rows} }}; /* rows of a slice's vectors */\n"
        across = source_file("across.h") if any(each.across for each in plan.maps) else ""
        masked = _MASKED if self.program.buffers.masked else ""
        totals = _TOTAL if self.program.gap_gradient is not None else ""
        headers = "\n".join(map(source_file, ("call.h", "sequence.h", "team.h")))
        helpers = f"{across}{masked}{totals}"
        text = f"{prelude(self.real)}\n{headers}{helpers}{counts}{functions}"
        return Source(text, tuple(segments.slot.names), segments.rows)

    def _share(self) -> str:
        """Declares which rows and units a slice computes."""
        if not self.segments.shares_units:
            return f"    const int64_t {_ALONE};\n    (void)team;\n"
        units = "".join(
            f"    int64_t from{k} = team ? unit(w{k}, s->panel, slice, count) : 0;\n"
            f"    int64_t to{k} = team ? unit(w{k}, s->panel, slice + 1, count) : w{k};\n"
            f"    (void)from{k}; (void)to{k};\n"
            for k in range(len(self.program.plan.widths))
        )
        return (
            f"    int64_t n0, n1, meeting = 0, parting = 0;\n    {_ALONE};\n"
            f"    if (team) n0 = 0, n1 = s->batch;\n    (void)meeting; (void)parting;\n{units}"
        )

    def _part(self, before: str = "") -> str:
        """Has the threads go on alone, each with a part of the batch, if they are to part."""
        if not self.segments.shares_units:
            return ""
        units = ", ".join(
            f"from{k} = 0, to{k} = w{k}" for k in range(len(self.program.plan.widths))
        )
        return (
            "        if (parting) {\n            meet(team, count, &meeting);\n"
            f"{before}            parting = 0, team = 0, {_ALONE}, {units};\n        }}\n"
        )

    def _operations(self, operations: Sequence[Operation], keep: bool) -> str:
        """Write the operations of a step, and where threads that share the units meet."""
        waits = meetings(operations, keep) if self.segments.shares_units else ()
        meet = "        if (team) parting |= meet(team, count, &meeting);\n"
        return "".join(
            (meet if place in waits else "") + self._operation(each)
            for place, each in enumerate(operations)
        )

    def _forward(self) -> str:
        program, first = self.program, self.program.projection
        body = self.segments.before()
        if first is not None:
            body += self._multiply(first)
        body += self._operations(program.forward, keep=False)
        return self._steps("int64_t t = 0; t < s->T; t++", self._part(), body, "break")

    def _backward(self) -> str:
        last, shares = self.program.data_gradient, self.segments.shares_units
        body = self.segments.before() + self._operations(self.program.backward, keep=True)
        rest, after = "", ""
        if last is not None:  # without the matrix it is not needed
            wanted = self.segments.slot(last.matrix.slot(transposed=True))
            condition = f"{wanted} && !team" if shares else wanted
            body += f"        if ({condition}) {self._multiply(last).lstrip()}"
            rest = self._data_gradient(last, "t + 1") if shares else ""
            after = self._data_gradient(last, "0", "meet(team, count, &meeting);") if shares else ""
        if self.program.gap_gradient is not None:
            body += self._total(self.program.gap_gradient)
        loop = "int64_t t = s->T - 1; t >= 0; t--"
        return self._steps(loop, self._part(rest), body, "continue") + after

    def _data_gradient(self, last: Multiply, first: str, meet: str = "") -> str:
        """Write the gradient of the input from a step to the last, if threads share the units."""
        c = self.segments
        z, matrix, x = (
            c.slot(name)
            for name in (last.source.buffer.name, last.matrix.slot(True), last.into.buffer.name)
        )
        return (
            f"    if ({matrix} && team) {{\n        {meet}\n"
            f"        const int64_t end = row(s, s->T);\n"
            f"        for (int64_t r = row(s, {first}); r < end; r += s->panel)\n"
            "            multiply(s, 1, end - r < s->panel ? end - r : s->panel, 1, I, "
            "unit(I, s->panel, slice, count), unit(I, s->panel, slice + 1, count), "
            f"{extent(last.source.columns)}, {z} + r * ldz, ldz, {matrix}, "
            f"{int(last.adds)}, {x} + r * I, I);\n    }}\n"
        )

    def _operation(self, each: Operation) -> str:
        match each:
            case Segment():
                return self.segments.segment(each)
            case Multiply():
                self.segments.slot(each.into.buffer.name)  # numbered before the matrix
                return self._multiply(each)
            case Units():
                name = f"across_{each.across.name}{'_back' if each.back else ''}"
                source, into = self.segments.address(each.source), self.segments.address(each.into)
                widths = each.source_width.name, each.width.name
                return f"        {name}(rows, {widths[0]}, {source}, {widths[1]}, {into});\n"

    def _multiply(self, each: Multiply) -> str:
        if each.factors is None:
            return self._product(each)
        c, factors = self.segments, self.segments.address(each.factors)
        between = View(self.program.buffers.masked[each.factors.buffer.name])
        count = f"rows * {extent(between.columns)}"
        if each.transposed:
            to = c.address(each.into)
            return self._product(replace(each, into=between, adds=False)) + (
                f"        add_masked({count}, {c.address(between)}, {factors}, {to});\n"
            )
        return (
            f"        masked({count}, {c.address(each.source)}, {factors}, {c.address(between)});\n"
        ) + self._product(replace(each, source=between))

    def _product(self, each: Multiply) -> str:
        c, source, into = self.segments, each.source, each.into
        packed, rows = "1" if each.transposed else "s->packed", "rows"
        right = (
            f"{extent(source.columns)}, {c.address(source)}, {c.stride(source.buffer)}, "
            f"{c.slot(each.matrix.slot(each.transposed))}, {int(each.adds)}, "
            f"{c.address(into)}, {c.stride(into.buffer)});\n"
        )
        if not c.shares_units or each is self.program.data_gradient:
            return (
                f"        s->blocks({packed}, {each.matrix.heads}, {rows}, "
                f"{extent(into.columns)}, {right}"
            )
        parts = into.buffer.parts[into.start : into.stop]
        place = int(parts[0].name[1:])
        first = ""
        if each is self.program.projection:
            first = "if (t % chunk == 0) "
            rows = "chunk == 1 ? rows : row(s, t + chunk < s->T ? t + chunk : s->T) - row(s, t)"
        return (
            f"        {first}multiply(s, {packed}, {rows}, {len(parts)}, {parts[0].name}, "
            f"{', '.join(c.bounds(place))}, {right}"
        )

    def _total(self, each: Total) -> str:
        c, (width,), into = self.segments, each.source.buffer.parts, each.into
        wanted = c.slot(into.buffer.name)  # null if nobody asks for it
        return (
            f"        if ({wanted}) total(rows, {width.name}, {c.address(each.source)}, "
            f"{c.address(into)}, {c.stride(into.buffer)});\n"
        )

    def _steps(self, loop: str, first: str, body: str, otherwise: str) -> str:
        chunk = ""
        if self.segments.shares_units:
            chunk = (
                "        const int64_t chunk = team ? s->chunk : 1, "
                "z0 = n0 + t % chunk * s->batch;\n        (void)z0;\n"
            )
        return (
            f"{self.segments.kept()}    for ({loop}) {{\n{first}"
            "        const int64_t size = s->sizes ? s->sizes[t] : s->batch;\n"
            "        const int64_t end = size < n1 ? size : n1, rows = end - n0;\n"
            f"        if (rows <= 0) {otherwise};\n"
            "        const int64_t r0 = (s->offsets ? s->offsets[t] : t * s->batch) + n0;\n"
            "        const int64_t q0 = t ? (s->offsets ? s->offsets[t - 1] : (t - 1) * s->batch) "
            "+ n0 : 0;\n"
            f"        (void)q0;\n{chunk}"
            f"{body}    }}\n"
        )
