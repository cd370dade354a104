"""Writes a plan as C: one function for a sequence forward, one backward.

Every thread calls them for rows n0 to n1 of the batch, from the first time step to the
last. What the code reads and writes are pointers, whose order is :attr:`Source.slots`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Literal

from .c_math import prelude
from .graph import Leaf, Node
from .plan import Plan

__all__ = ["Real", "Source", "emit_c"]

Real = Literal["float", "double"]

_INFIX = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "div": "/",
    "eq": "==",
    "lt": "<",
    "gt": ">",
    "le": "<=",
    "ge": ">=",
}
_CALLS = {"maximum": "tr_max", "minimum": "tr_min"}
_HEADER = """\
#if defined(__clang__)
#define IVDEP _Pragma("clang loop vectorize(assume_safety)")
#else
#define IVDEP _Pragma("GCC ivdep")
#endif
typedef struct {
    void **p;
    const double *c;
    const int64_t *sizes, *offsets;
    int64_t T, I, H, batch, keep;
} sequence_t;
"""
_ARGUMENTS = (
    "void **p, const double *c, const int64_t *sizes, const int64_t *offsets, int64_t T, "
    "int64_t I, int64_t H, int64_t keep, int64_t slice, int64_t n0, int64_t n1"
)
_VALUES = (
    "s->p, s->c, s->sizes, s->offsets, s->T, s->I, s->H, s->keep, slice, "
    "s->batch * slice / call->count, s->batch * (slice + 1) / call->count"
)


@dataclass(frozen=True)
class Source:
    """The code, and what its pointers are, in order."""

    text: str
    slots: tuple[str, ...]


def emit_c(plan: Plan, real: Real) -> Source:
    """The C of a plan in one precision."""
    return _Writer(plan, real).source()


class _Writer:
    def __init__(self, plan: Plan, real: Real) -> None:
        self.plan = plan
        self.real = real
        self.slots: list[str] = []

    def slot(self, name: str) -> str:
        """The C name of a pointer, known to the launcher as ``name``."""
        if name not in self.slots:
            self.slots.append(name)
        return f"p{self.slots.index(name)}"

    def source(self) -> Source:
        forward = self._forward()
        backward = self._backward()
        pointers = "\n".join(
            f"    real *p{k} = (real *)p[{k}]; /* {name} */ (void)p{k};"
            for k, name in enumerate(self.slots)
        )
        constants = "\n".join(
            f"    const real c{k} = (real)c[{k}]; /* {name} */ (void)c{k};"
            for k, name in enumerate(self.plan.constants)
        )
        setup = f"{pointers}\n{constants}\n    const int64_t ldz = {len(self.plan.columns)} * H;"
        functions = "".join(
            f"\nstatic void {name}_slice({_ARGUMENTS}) {{\n{setup}\n"
            f"    (void)ldz; (void)slice; (void)keep;\n{body}}}\n"
            f"void {name}(const call_t *call) {{\n"
            "    const sequence_t *s = call->arguments;\n"
            f"    FOR_SLICES(call) {name}_slice({_VALUES});\n}}\n"
            for name, body in (("forward", forward), ("backward", backward))
        )
        products = resources.files(__package__).joinpath("gemm.h").read_text("utf-8")
        text = f"{prelude(self.real)}\n{products}\n{_HEADER}{functions}"
        return Source(text, tuple(self.slots))

    def _forward(self) -> str:
        plan = self.plan
        body = [self._previous()]
        if plan.inputs:
            body.append(
                f"        product(rows, {plan.inputs} * H, I, {self.slot('X')} + r0 * I, I, "
                f"{self.slot('W.input')}, 0, {self._row('Z')}, ldz);\n"
            )
        for k, dense in enumerate(plan.products):
            body.append(
                f"        product(rows, {dense.count} * H, H, "
                f"before_{plan.states.index(dense.state)}, H, {self.slot(f'W.{k}')}, "
                f"{int(dense.adds)}, {self._row('Z')} + {dense.column} * H, ldz);\n"
            )
        for each in plan.maps:
            argument, result = self._row(f"V.{each.name}"), self._row(f"M.{each.name}")
            body.append(self._segment([(argument, each.argument)]))
            body.append(
                f"        product(rows, H, H, {argument}, H, {self.slot(f'W.{each.name}')}, 0, "
                f"{result}, H);\n"
            )
        results = [(self._after(k), node) for k, node in enumerate(plan.new_states)]
        if plan.output is not None:
            results.append((f"({self.slot('Y')} + r0 * H)", plan.output))
        body.append(self._segment(results))
        return self._steps("int64_t t = 0; t < T; t++", "".join(body), "break")

    def _backward(self) -> str:
        plan, gradients = self.plan, self.plan.gradients
        body, zero = [self._previous()], plan.graph.number(0)
        for each in reversed(plan.maps):
            received = self._row(f"dM.{each.name}")
            body.append(self._segment([(received, gradients.get(Leaf("m", each.name), zero))]))
            body.append(
                f"        product(rows, H, H, {received}, H, {self.slot(f'B.{each.name}')}, 0, "
                f"{self._batch(f'dV.{each.name}')}, H);\n"
            )
        results = [
            (f"{self._row('Z')} + {k} * H", gradients.get(Leaf("z", name), zero), "ldz")
            for k, name in enumerate(plan.columns)
        ]
        results += [
            (self._batch(f"G.{name}"), gradients.get(Leaf("s", name), zero), "H")
            for name in plan.states
        ]
        raw = Leaf("x", "input") in gradients
        if raw:
            results.append((f"({self.slot('dX')} + r0 * H)", gradients[Leaf("x", "input")], "H"))
        sums = [(k, gradients[Leaf("v", name)]) for k, name in enumerate(plan.learned)]
        body.append(self._segment(results, sums))
        for k, dense in enumerate(plan.products):
            body.append(
                f"        product(rows, H, {dense.count} * H, "
                f"{self._row('Z')} + {dense.column} * H, ldz, {self.slot(f'B.{k}')}, 1, "
                f"{self._batch(f'G.{dense.state}')}, H);\n"
            )
        if plan.inputs:
            body.append(
                f"        if ({self.slot('B.input')}) product(rows, I, {plan.inputs} * H, "
                f"{self._row('Z')}, ldz, {self.slot('B.input')}, {int(raw)}, "
                f"{self.slot('dX')} + r0 * I, I);\n"
            )
        return self._steps("int64_t t = T - 1; t >= 0; t--", "".join(body), "continue")

    def _steps(self, loop: str, body: str, otherwise: str) -> str:
        return (
            f"    for ({loop}) {{\n"
            "        const int64_t end = sizes[t] < n1 ? sizes[t] : n1, rows = end - n0;\n"
            f"        if (rows <= 0) {otherwise};\n"
            "        const int64_t r0 = offsets[t] + n0;\n"
            "        const int64_t q0 = t ? offsets[t - 1] + n0 : 0; (void)q0;\n"
            f"{body}    }}\n"
        )

    def _previous(self) -> str:
        """Where each state lies as it was before this step."""
        lines = []
        for k, name in enumerate(self.plan.states):
            before = f"t ? {self.slot(f'S.{name}')} + q0 * H : {self.slot(f'S0.{name}')} + n0 * H"
            if k or self.plan.output is not None:  # not an output: overwritten if not kept
                before = f"keep ? ({before}) : {self.slot(f'S.{name}')} + n0 * H"
            lines.append(f"        const real *before_{k} = {before}; (void)before_{k};\n")
        return "".join(lines)

    def _after(self, k: int) -> str:
        """The first row of this step and slice where a new state goes."""
        name = self.slot(f"S.{self.plan.states[k]}")
        if k or self.plan.output is not None:
            return f"({name} + (keep ? r0 : n0) * H)"
        return f"({name} + r0 * H)"

    def _row(self, name: str) -> str:
        """The first row of this step and slice in what is kept only for the backward pass."""
        return f"({self.slot(name)} + (keep ? r0 : n0) * {'ldz' if name == 'Z' else 'H'})"

    def _batch(self, name: str) -> str:
        """The first row of this slice in a tensor with a row for every sequence."""
        return f"({self.slot(name)} + n0 * H)"

    def _leaf(self, leaf: Leaf) -> str:
        """Where row n of this step has a leaf, or what number it is."""
        match leaf.kind:
            case "z":
                return f"{self._row('Z')} + n * ldz + {self.plan.columns.index(leaf.name)} * H"
            case "s":
                return f"before_{self.plan.states.index(leaf.name)} + n * H"
            case "m":
                return f"{self._row(f'M.{leaf.name}')} + n * H"
            case "x":
                return f"{self.slot('X')} + (r0 + n) * H"
            case "g":
                return f"{self._batch(f'G.{leaf.name}')} + n * H"
            case "y":
                return f"{self.slot('dY')} + (r0 + n) * H"
            case "a":
                return f"{self._batch(f'dV.{leaf.name}')} + n * H"
            case "v":
                return self.slot(f"v.{leaf.name}")
        raise AssertionError(leaf)

    def _segment(
        self,
        results: Sequence[tuple[str, int] | tuple[str, int, str]],
        sums: Sequence[tuple[int, int]] = (),
    ) -> str:
        """A loop over rows and units that computes some nodes.

        ``results`` are written to rows; ``sums`` are added up over the rows, first within
        the step and then over the steps, which keeps the rounding small.
        """
        graph = self.plan.graph
        outputs = [result[1] for result in results] + [node for _, node in sums]
        needed = graph.needed(outputs)
        rows, lines = [], []
        for node in needed:
            current = graph.nodes[node]
            if current.leaf is not None and current.leaf.kind != "c":
                rows.append(f"            const real *l{node} = {self._leaf(current.leaf)};\n")
            lines.append(self._line(node, current))
        for k, result in enumerate(results):
            stride = result[2] if len(result) == 3 else "H"
            rows.append(f"            real *o{k} = {result[0]} + n * {stride};\n")
            lines.append(f"                o{k}[j] = x{result[1]};\n")
        lines += [f"                a{k}[j] += x{node};\n" for k, node in sums]
        before, after = self._sums(k for k, _ in sums)
        return (
            f"{before}        for (int64_t n = 0; n < rows; n++) {{\n{''.join(rows)}"
            "            IVDEP\n            for (int64_t j = 0; j < H; j++) {\n"
            f"{''.join(lines)}            }}\n        }}\n{after}"
        )

    def _sums(self, places: Iterable[int]) -> tuple[str, str]:
        count = len(self.plan.learned)
        before, after = "", ""
        for k in places:
            base = f"(slice * {count} + {k}) * H"
            before += (
                f"        real *a{k} = {self.slot('step')} + {base};\n"
                f"        real *t{k} = {self.slot('sum')} + {base};\n"
                f"        for (int64_t j = 0; j < H; j++) a{k}[j] = 0;\n"
            )
            after += f"        for (int64_t j = 0; j < H; j++) t{k}[j] += a{k}[j];\n"
        return before, after

    def _line(self, node: int, current: Node) -> str:
        args = [f"x{arg}" for arg in current.args]
        if current.leaf is not None:
            constant = current.leaf.kind == "c"
            value = (
                f"c{self.plan.constants.index(current.leaf.name)}" if constant else f"l{node}[j]"
            )
        elif current.op == "number":
            value = f"(real){current.value!r}"
        elif current.op in _INFIX:
            value = f"{args[0]} {_INFIX[current.op]} {args[1]}"
        elif current.op == "neg":
            value = f"-{args[0]}"
        elif current.op == "where":
            value = f"{args[0]} ? {args[1]} : {args[2]}"
        else:
            value = f"{_CALLS.get(current.op, 'tr_' + current.op)}({', '.join(args)})"
        kind = "int" if current.op in ("eq", "lt", "gt", "le", "ge") else "real"
        return f"                const {kind} x{node} = {value};\n"
