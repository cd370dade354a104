"""Writes a plan as C: one function for the forward pass over a sequence, one for the backward.

Every thread calls them for rows n0 to n1 of the batch, from the first time step to the
last. The code reads and writes through pointers, whose order is :attr:`Source.slots`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from ..program.buffers import View
from ..program.lower import Multiply, Operation, Segment, Total, Units, lower
from ..program.names import extent
from ..program.plan import Plan
from .math import prelude, source_file
from .segments import Segments

__all__ = ["Real", "Source", "emit_c"]

Real = Literal["float", "double"]

_HEADER = """\
#if defined(__clang__)
#define IVDEP _Pragma("clang loop vectorize(assume_safety)")
#else
#define IVDEP _Pragma("GCC ivdep")
#endif
/* sizes: how many sequences run at each step, offsets: where its rows begin; both null if all
   are equally long. w: widths, the widest last. packed: kernels are as blocks() wants them. */
typedef struct {
    void **p;
    const double *c;
    const int64_t *sizes, *offsets, *w;
    blocks_t *blocks;
    int64_t T, I, batch, keep, packed;
} sequence_t;
"""
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
_ARGUMENTS = "const sequence_t *s, int64_t slice, int64_t n0, int64_t n1"
_VALUES = "s, slice, s->batch * slice / call->count, s->batch * (slice + 1) / call->count"


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
            f"{vectors}"
        )
        functions = "".join(
            f"\nstatic void {name}_slice({_ARGUMENTS}) {{\n{setup}{body}}}\n"
            f"void {name}(const call_t *call) {{\n"
            "    const sequence_t *s = call->arguments;\n"
            f"    FOR_SLICES(call) {name}_slice({_VALUES});\n}}\n"
            for name, body in bodies.items()
        )
        counts = f"enum {{ VECTORS = {segments.rows} }}; /* rows of a slice's vectors */\n"
        across = source_file("across.h") if any(each.across for each in plan.maps) else ""
        masked = _MASKED if self.program.buffers.masked else ""
        totals = _TOTAL if self.program.gap_gradient is not None else ""
        helpers = f"{across}{masked}{totals}"
        head = f"{prelude(self.real)}\n{source_file('call.h')}\n{_HEADER}{helpers}"
        text = f"{head}{counts}{functions}"
        return Source(text, tuple(segments.slot.names), segments.rows)

    def _forward(self) -> str:
        program = self.program
        body = self.segments.before()
        if program.projection is not None:
            body += self._multiply(program.projection)
        body += "".join(map(self._operation, program.forward))
        return self._steps("int64_t t = 0; t < s->T; t++", body, "break")

    def _backward(self) -> str:
        last = self.program.data_gradient
        body = self.segments.before() + "".join(map(self._operation, self.program.backward))
        if last is not None:  # without the matrix it is not needed
            wanted = self.segments.slot(last.matrix.slot(transposed=True))
            body += f"        if ({wanted}) {self._multiply(last).lstrip()}"
        if self.program.gap_gradient is not None:
            body += self._total(self.program.gap_gradient)
        return self._steps("int64_t t = s->T - 1; t >= 0; t--", body, "continue")

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
        return (
            f"        s->blocks({'1' if each.transposed else 's->packed'}, {each.matrix.heads}, "
            f"rows, {extent(into.columns)}, {extent(source.columns)}, {c.address(source)}, "
            f"{c.stride(source.buffer)}, {c.slot(each.matrix.slot(each.transposed))}, "
            f"{int(each.adds)}, {c.address(into)}, {c.stride(into.buffer)});\n"
        )

    def _total(self, each: Total) -> str:
        c, (width,), into = self.segments, each.source.buffer.parts, each.into
        wanted = c.slot(into.buffer.name)  # null if nobody asks for it
        return (
            f"        if ({wanted}) total(rows, {width.name}, {c.address(each.source)}, "
            f"{c.address(into)}, {c.stride(into.buffer)});\n"
        )

    def _steps(self, loop: str, body: str, otherwise: str) -> str:
        return (
            f"{self.segments.kept()}    for ({loop}) {{\n"
            "        const int64_t size = s->sizes ? s->sizes[t] : s->batch;\n"
            "        const int64_t end = size < n1 ? size : n1, rows = end - n0;\n"
            f"        if (rows <= 0) {otherwise};\n"
            "        const int64_t r0 = (s->offsets ? s->offsets[t] : t * s->batch) + n0;\n"
            "        const int64_t q0 = t ? (s->offsets ? s->offsets[t - 1] : (t - 1) * s->batch) "
            "+ n0 : 0;\n"
            "        (void)q0;\n"
            f"{body}    }}\n"
        )
