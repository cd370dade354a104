"""Writes a plan as C: one function for a sequence forward, one backward.

Every thread calls them for rows n0 to n1 of the batch, from the first time step to the
last. What the code reads and writes are pointers, whose order is :attr:`Source.slots`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..ir.graph import Leaf
from ..program.plan import Map, Plan, Product
from .addresses import Addresses
from .math import prelude, source_file
from .segments import Result, kept, segment

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
_AVERAGE = """\
/* Of each row, in sixteen partial sums, which a compiler keeps in vector registers. */
static void average(int64_t rows, int64_t width, const real *from, real *to) {
    for (int64_t n = 0; n < rows; n++, from += width) {
        real parts[16] = {0}, sum = 0;
        int64_t j = 0;
        for (; j + 16 <= width; j += 16)
            for (int64_t k = 0; k < 16; k++) parts[k] += from[j + k];
        for (; j < width; j++) sum += from[j];
        for (int64_t k = 0; k < 16; k++) sum += parts[k];
        to[n] = sum / (real)width;
    }
}
"""
_ARGUMENTS = "const sequence_t *s, int64_t slice, int64_t n0, int64_t n1"
_VALUES = "s, slice, s->batch * slice / call->count, s->batch * (slice + 1) / call->count"


@dataclass(frozen=True)
class Source:
    """The code, and what its pointers are, in order."""

    text: str
    slots: tuple[str, ...]
    vectors: int  # rows, as wide as the widest, that each slice computes before the loop


def emit_c(plan: Plan, real: Real) -> Source:
    """The C of a plan in one precision."""
    return _Writer(plan, real).source()


class _Writer:
    def __init__(self, plan: Plan, real: Real) -> None:
        self.plan = plan
        self.real = real
        self.where = Addresses(plan)

    def source(self) -> Source:
        plan, where = self.plan, self.where
        bodies = {"forward": self._forward(), "backward": self._backward()}
        vectors = where.vectors()
        pointers = "".join(
            f"    real *p{k} = (real *)s->p[{k}]; /* {name} */ (void)p{k};\n"
            for k, name in enumerate(where.slots)
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
            f"    const int64_t widest = s->w[{widest}], ldz = {where.columns(plan.columns)};\n"
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
        counts = f"enum {{ VECTORS = {where.rows} }}; /* rows of a slice's vectors */\n"
        averages = _AVERAGE if any(each.weight is None for each in plan.maps) else ""
        head = f"{prelude(self.real)}\n{source_file('call.h')}\n{_HEADER}{averages}"
        text = f"{head}{counts}{functions}"
        return Source(text, tuple(where.slots), where.rows)

    def _forward(self) -> str:
        plan, where = self.plan, self.where
        body = [where.before()]
        if plan.inputs:
            count = where.columns(list(plan.columns)[: plan.inputs])
            body.append(
                f"        s->blocks(s->packed, 1, rows, {count}, I, {where.step('X', 'I')}, I, "
                f"{where.slot('W.input')}, 0, {where.row('Z', 'ldz')}, ldz);\n"
            )
        for k, product in enumerate(plan.products):
            body.append(self._product(k, product))
        for each in plan.maps:
            place, inner, outer = self._map(each)
            argument = self._rows(each, f"V.{each.name}", inner)
            body.append(segment(where, [Result(each.argument, place, argument, inner)]))
            if each.weight is None:
                result = where.row(f"M.{each.name}", "1")
                body.append(f"        average(rows, {inner}, {argument}, {result});\n")
                continue
            result = where.row(f"M.{each.name}", outer)
            body.append(
                f"        s->blocks(s->packed, {each.heads}, rows, {outer}, {inner}, {argument}, "
                f"{inner}, {where.slot(f'W.map.{each.name}')}, 0, {result}, {outer});\n"
            )
        results = [
            Result(node, plan.states[name], where.new_state(name), where.state_width(name))
            for name, node in zip(plan.states, plan.new_states, strict=True)
        ]
        if plan.output is not None:
            width = f"w{plan.output_width}"
            results.append(Result(plan.output, plan.output_width, where.step("Y", width), width))
        body.append(segment(where, results))
        return self._steps("int64_t t = 0; t < s->T; t++", "".join(body), "break")

    def _product(self, k: int, product: Product) -> str:
        where = self.where
        width = where.state_width(product.state)
        return (
            f"        s->blocks(s->packed, {product.heads}, rows, "
            f"{where.columns(product.columns)}, {width}, {where.old_state(product.state)}, "
            f"{width}, {where.slot(f'W.{k}')}, {int(product.adds)}, {where.row('Z', 'ldz')} + "
            f"{where.column(product.columns[0])}, ldz);\n"
        )

    def _map(self, each: Map) -> tuple[int, str, str]:
        """The place of its argument's width, that width and the result's."""
        place = self.plan.node_widths[each.argument]
        return place, f"w{place}", self.where.result(each.names)

    def _rows(self, each: Map, name: str, width: str) -> str:
        """What goes into a map: of each step, for the kernel's gradient; an average has none."""
        where = self.where
        return where.batch(name, width) if each.weight is None else where.row(name, width)

    def _backward(self) -> str:
        plan, where = self.plan, self.where
        body = [where.before()]
        for each in reversed(plan.maps):
            _, inner, outer = self._map(each)
            received = self._rows(each, f"dM.{each.name}", outer)
            results = [
                Result(
                    plan.gradient("m", name),
                    plan.mapped[name],
                    f"{received} + {where.result(each.names[:k])}",
                    outer,
                )
                for k, name in enumerate(each.names)
            ]
            body.append(segment(where, results))
            if each.weight is None:  # the average is its own transpose
                passed = where.batch(f"dV.{each.name}", "1")
                body.append(f"        average(rows, {inner}, {received}, {passed});\n")
                continue
            passed = where.batch(f"dV.{each.name}", inner)
            body.append(
                f"        s->blocks(1, {each.heads}, rows, {inner}, {outer}, {received}, {outer}, "
                f"{where.slot(f'B.map.{each.name}')}, 0, {passed}, {inner});\n"
            )
        results = [
            Result(
                plan.gradient("z", name),
                place,
                f"{where.row('dZ', 'ldz')} + {where.column(name)}",
                "ldz",
            )
            for name, place in plan.columns.items()
        ]
        for name, place in plan.states.items():
            width = where.state_width(name)
            address = where.batch(f"G.{name}", width)
            results.append(Result(plan.gradient("s", name), place, address, width))
        if plan.raw_gradient:
            node = plan.gradient("x", "input")
            results.append(Result(node, plan.node_widths[node], where.step("dX", "I"), "I"))
        sums = [(k, plan.gradients[Leaf("v", name)]) for k, name in enumerate(plan.learned)]
        body.append(segment(where, results, sums))
        for k, product in enumerate(plan.products):
            width = where.state_width(product.state)
            body.append(
                f"        s->blocks(1, {product.heads}, rows, {width}, "
                f"{where.columns(product.columns)}, {where.row('dZ', 'ldz')} + "
                f"{where.column(product.columns[0])}, ldz, {where.slot(f'B.{k}')}, 1, "
                f"{where.batch(f'G.{product.state}', width)}, {width});\n"
            )
        if plan.inputs:
            count = where.columns(list(plan.columns)[: plan.inputs])
            body.append(
                f"        if ({where.slot('B.input')}) s->blocks(1, 1, rows, I, {count}, "
                f"{where.row('dZ', 'ldz')}, ldz, {where.slot('B.input')}, "
                f"{int(plan.raw_gradient)}, {where.step('dX', 'I')}, I);\n"
            )
        return self._steps("int64_t t = s->T - 1; t >= 0; t--", "".join(body), "continue")

    def _steps(self, loop: str, body: str, otherwise: str) -> str:
        return (
            f"{kept(self.where)}    for ({loop}) {{\n"
            "        const int64_t size = s->sizes ? s->sizes[t] : s->batch;\n"
            "        const int64_t end = size < n1 ? size : n1, rows = end - n0;\n"
            f"        if (rows <= 0) {otherwise};\n"
            "        const int64_t r0 = (s->offsets ? s->offsets[t] : t * s->batch) + n0;\n"
            "        const int64_t q0 = t ? (s->offsets ? s->offsets[t - 1] : (t - 1) * s->batch) "
            "+ n0 : 0;\n"
            "        (void)q0;\n"
            f"{body}    }}\n"
        )
